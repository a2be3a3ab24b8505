//! What can happen to a database that is somewhere else: it can't be reached,
//! refuses, or goes away and comes back.

use serde_json::{Value, json};
use url::Url;

use crate::process::hearer::{Hearer, Manner};
use crate::process::line::Line;
use crate::process::{Home, Process, output, text};

fn event(id: &str) -> Value {
    json!({"id": id, "type": "order.paid", "subject": {"id": id}})
}

/// A server that reaches its database by a line.
async fn serve(home: &Home, line: &Line) -> Process {
    let mut command = home.server();
    command.env("CALLBOARD_DATABASE", line.url());
    let process = Process::start(command).await;
    process.until_ready().await;
    process
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_database_is_away_it_refuses_and_afterwards_it_goes_on() {
    let home = Home::on_postgres();
    let line = Line::to(home.server_url().expect("a URL")).await;
    let hearer = Hearer::start(&[("/held", Manner::Held), ("/prompt", Manner::Prompt)]).await;
    let process = serve(&home, &line).await;
    let webhook = async |path: &str| {
        let settings = json!({"url": hearer.url(path), "events": ["*"], "max_in_flight": 4});
        process.make_webhook(&settings).await
    };
    let (held, prompt) = (webhook("/held").await, webhook("/prompt").await);
    let before: Value = (0..20).map(|number| event(&format!("before-{number}"))).collect();
    process.post("/v1/events", &before).await.is(202);
    process.until_drained(&[&prompt]).await;
    hearer.until("deliveries are under way", |counts| counts.held == 4).await;

    line.cut();
    process.post("/v1/events", &event("refused")).await.assert_unavailable();
    process.get("/readyz").await.assert_unavailable();
    process.get("/v1/events/before-0").await.assert_unavailable();
    process.get("/v1/webhooks").await.assert_unavailable();
    process.get("/healthz").await.is(200);
    // What these come to can't be written down yet.
    hearer.let_go();
    hearer.until("what was under way has arrived", |counts| counts.taken >= 24).await;

    line.mend();
    process.until_ready().await;
    process.get("/v1/events/refused").await.is(404);
    process.post("/v1/events", &event("after")).await.is(202);
    process.until_drained(&[&held, &prompt]).await;
    assert_eq!((hearer.tally("/held"), hearer.tally("/prompt")), ((21, 0), (21, 0)));
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stops_also_while_the_database_is_away() {
    let home = Home::on_postgres();
    let line = Line::to(home.server_url().expect("a URL")).await;
    let process = serve(&home, &line).await;
    line.cut();
    process.stop().await;
}

#[tokio::test]
async fn a_database_that_can_not_be_opened_is_explained_without_its_password() {
    let home = Home::on_postgres();
    let good = Url::parse(home.server_url().expect("a URL")).expect("a URL");
    let refusal = async |change: &dyn Fn(&mut Url)| {
        let mut url = good.clone();
        change(&mut url);
        let mut command = home.server();
        command.env("CALLBOARD_DATABASE", url.as_str());
        let output = output(command).await;
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = text(&output.stderr);
        assert!(!said.contains(url.password().expect("a password")), "{said}");
        said
    };
    let said = refusal(&|url| url.set_password(Some("hunter2")).expect("a password")).await;
    assert!(said.contains("password authentication failed"), "{said}");
    let said = refusal(&|url| url.set_path("nothing")).await;
    assert!(said.contains("\"nothing\" does not exist"), "{said}");
    let said = refusal(&|url| url.set_port(Some(9)).expect("a port")).await;
    assert!(said.contains("refused"), "{said}");
    let said = refusal(&|url| url.set_query(Some("sslmode=perhaps"))).await;
    assert!(said.contains("sslmode must be"), "{said}");
    // The server of the tests has a certificate that nobody vouches for.
    let said = refusal(&|url| url.set_query(Some("sslmode=verify-full"))).await;
    assert!(said.contains("certificate"), "{said}");
}

#[tokio::test]
async fn the_connection_is_encrypted_where_that_is_asked_for() {
    let home = Home::on_postgres();
    let mut url = Url::parse(home.server_url().expect("a URL")).expect("a URL");
    url.set_query(Some("sslmode=require"));
    let mut command = home.server();
    command.env("CALLBOARD_DATABASE", url.as_str());
    let process = Process::start(command).await;
    process.until_ready().await;
    process.post("/v1/events", &event("one")).await.is(202);
    process.stop().await;
}

#[tokio::test]
async fn the_password_of_the_database_is_not_logged() {
    let home = Home::on_postgres();
    let password = Url::parse(home.server_url().expect("a URL")).expect("a URL");
    let password = password.password().expect("a password");
    let mut command = home.server();
    command.env("CALLBOARD_LOG_FILTER", "trace");
    let process = Process::start(command).await;
    process.until_ready().await;
    process.post("/v1/events", &event("one")).await.is(202);
    let log = process.log();
    process.stop().await;
    assert!(log.iter().any(|line| line.contains("postgres://")), "{log:?}");
    assert!(!log.iter().any(|line| line.contains(password)), "{log:?}");
    let mut check = home.command(&["config", "check"]);
    check.env("CALLBOARD_DATABASE", home.server_url().expect("a URL"));
    let shown = text(&output(check).await.stdout);
    assert!(shown.contains(":********@127.0.0.1") && !shown.contains(password), "{shown}");
}
