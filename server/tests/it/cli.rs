//! The command line, as somebody types it.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::process::{Output, Stdio};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use crate::process::{Home, PATIENCE, Process, TOKEN, output, text};

mod apply;
mod completions;
mod groups;
mod health;
mod listen;
mod migrate;
mod profiles;
mod replay;
mod stop;

/// Standard output of a command that has to succeed.
fn said(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout)
}

/// Standard error of a command that has to fail.
fn complained(output: &Output) -> String {
    ended_with(1, output)
}

/// Standard error of a command that has to end with this code.
fn ended_with(code: i32, output: &Output) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    text(&output.stderr)
}

fn assert_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in:\n{text}");
    }
}

/// A command that talks to a running server, as its operator.
fn to(home: &Home, process: &Process, arguments: &[&str]) -> Command {
    let mut command = home.command(arguments);
    command.env("CALLBOARD_URL", format!("http://{}", process.address)).env("CALLBOARD_TOKEN", TOKEN);
    command
}

#[tokio::test]
async fn it_says_what_it_is_and_what_it_can_do() {
    let home = Home::new();
    assert_eq!(said(&home.run(&["--version"]).await), format!("callboard {}\n", env!("CARGO_PKG_VERSION")));
    let help = said(&home.run(&["--help"]).await);
    let commands = [
        "serve",
        "demo",
        "send",
        "replay",
        "listen",
        "event",
        "webhook",
        "delivery",
        "job",
        "apply",
        "export",
        "audit",
        "login",
        "logout",
        "profile",
        "completions",
        "man",
        "backup",
        "migrate",
        "migrate-data",
        "client",
        "tenant",
        "keys",
        "sign-in-link",
        "config",
        "bench",
    ];
    assert_contains(&help, &commands);
    for command in commands {
        said(&home.run(&[command, "--help"]).await);
    }
    let wrong = home.run(&["sevre"]).await;
    assert_eq!(wrong.status.code(), Some(2));
    assert_contains(&text(&wrong.stderr), &["sevre", "serve"]);
}

#[tokio::test]
async fn the_demonstration_shows_a_failure_and_its_retry_and_ends() {
    let home = Home::new();
    let arguments = ["demo", "--listen", "127.0.0.1:0", "--exit-after-delivered", "12"];
    let ran = home.run(&arguments).await;
    let shown = said(&ran);
    assert_eq!(text(&ran.stderr), "", "nothing is wrong");
    let lines = |part: &str| shown.lines().filter(|line| line.contains(part)).count();
    assert_eq!(lines("/flaky         order.paid           answered 500, to see a retry"), 1, "{shown}");
    assert_eq!(lines("/flaky         order.paid           delivered, at the second attempt"), 1, "{shown}");
    for told in [
        "/ingresse      event-create         delivered",
        "/ingresse      ticket               delivered",
        "/viagogo       Sales                delivered",
        "/openticket    order.ticket.scanned delivered",
    ] {
        assert_eq!(lines(told), 1, "{told}\n{shown}");
    }
    assert_eq!(lines("signature good"), 13, "{shown}");
    assert_eq!(lines("SIGNATURE BAD"), 0, "{shown}");
    assert_contains(&shown, &["curl http://127.0.0.1:", "/v1/events", "/dashboard/sign-in/cbl_"]);
    let left: Vec<_> = std::fs::read_dir(home.path("")).expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test]
async fn settings_are_shown_with_their_sources() {
    let home = Home::new();
    std::fs::write(home.path("callboard.toml"), "[retention]\ndays = 30\n").expect("a file");
    let mut command = home.command(&["config", "check", "--listen", "127.0.0.1:9"]);
    command.env("CALLBOARD_LOG_FILTER", "warn").env("CALLBOARD_ADMIN_TOKEN", TOKEN);
    let shown = said(&output(command).await);
    let line = |name: &str| {
        let line = shown.lines().find(|line| line.starts_with(name)).expect(name);
        line.split_whitespace().skip(1).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("retention.days"), "30 callboard.toml");
    assert_eq!(line("listen"), "\"127.0.0.1:9\" command line");
    assert_eq!(line("log.filter"), "\"warn\" CALLBOARD_LOG_FILTER");
    assert_eq!(line("delivery.lane_capacity"), "1024 default");
    assert_eq!(line("admin_token"), "******** CALLBOARD_ADMIN_TOKEN");
    assert!(!shown.contains(TOKEN), "{shown}");
}

#[tokio::test]
async fn a_wrong_setting_is_named_with_its_source() {
    let home = Home::new();
    let check = async |name: &str, value: &str| {
        let mut command = home.command(&["config", "check"]);
        command.env(name, value);
        complained(&output(command).await)
    };
    let complaint = check("CALLBOARD_RETENTION_DAYS", "-1").await;
    assert_contains(&complaint, &["retention.days (from CALLBOARD_RETENTION_DAYS)", "above 0"]);
    let complaint = check("CALLBOARD_RETENTION_DAY", "1").await;
    assert_contains(&complaint, &["CALLBOARD_RETENTION_DAY is no setting"]);
    let complaint = check("CALLBOARD_ADMIN_TOKEN_FILE", "missing").await;
    assert_contains(&complaint, &["missing can't be read"]);
    std::fs::write(home.path("wrong.toml"), "[delivery]\nlane_capacity = \"lots\"\n").expect("a file");
    let arguments = ["config", "check", "--config", "wrong.toml"];
    let complaint = complained(&home.run(&arguments).await);
    assert_contains(&complaint, &["delivery.lane_capacity (from wrong.toml)", "\"lots\""]);
    std::fs::write(home.path("wrong.toml"), "[delivry]\nlane_capacity = 1\n").expect("a file");
    let complaint = complained(&home.run(&arguments).await);
    assert_contains(&complaint, &["delivry", "wrong.toml"]);
    // A server refuses it in the same words.
    let complaint = complained(&home.run(&["serve", "--config", "wrong.toml"]).await);
    assert_contains(&complaint, &["delivry", "wrong.toml"]);
}

#[tokio::test]
async fn events_are_sent_from_files_and_from_standard_input() {
    let home = Home::new();
    let process = home.serve().await;
    let event = |id: &str| json!({"id": id, "type": "order.paid", "subject": {"id": "1"}});
    let settings = json!({"url": "http://127.0.0.1:8/", "events": ["order.*"]});
    process.make_webhook(&settings).await;
    let send = async |body: &str| {
        std::fs::write(home.path("events.json"), body).expect("a file");
        said(&output(to(&home, &process, &["send", "events.json"])).await)
    };
    assert_eq!(send(&format!("{:#}", event("one"))).await, "one: accepted, 1 webhook hears it\n");
    assert_eq!(send(&event("one").to_string()).await, "one: was published before\n");
    let array = json!([event("two"), event("three")]).to_string();
    assert_eq!(
        send(&array).await,
        "two: accepted, 1 webhook hears it\nthree: accepted, 1 webhook hears it\n"
    );
    let lines = format!("{}\n{}\n", event("four"), event("five"));
    let piped = said(&pipe(to(&home, &process, &["send", "-"]), &lines).await);
    assert_eq!(piped, "four: accepted, 1 webhook hears it\nfive: accepted, 1 webhook hears it\n");
    process.get("/v1/events/five").await.is(200);
    process.stop().await;
}

/// Runs a command with this text as its standard input.
async fn pipe(mut command: Command, input: &str) -> Output {
    let mut child = command.stdin(Stdio::piped()).spawn().expect("the command starts");
    child.stdin.take().expect("standard input").write_all(input.as_bytes()).await.expect("it reads");
    timeout(PATIENCE, child.wait_with_output()).await.expect("the command ends").expect("it runs")
}

#[tokio::test]
async fn what_is_refused_is_explained_fault_by_fault() {
    let home = Home::new();
    let process = home.serve().await;
    let faulty = json!([
        {"id": "good", "type": "order.paid", "subject": {"id": "1"}},
        {"id": "a.b", "type": "order.paid", "subject": {"id": "1"}},
        {"type": "order.sold", "colour": "red"},
    ]);
    let refused = complained(&pipe(to(&home, &process, &["send", "-"]), &faulty.to_string()).await);
    assert_contains(&refused, &["(400)", "/1/id: ", "/2/type: ", "/2/subject: ", "/2/colour: "]);
    process.get("/v1/events/good").await.is(404);
    let refused = complained(&output(to(&home, &process, &["send", "missing.json"])).await);
    assert_contains(&refused, &["missing.json can't be read"]);
    let mut stranger = to(&home, &process, &["send", "-"]);
    stranger.env("CALLBOARD_TOKEN", "somebody-elses-token");
    let refused = ended_with(4, &pipe(stranger, "{}").await);
    assert_contains(&refused, &["the token is not valid", "(401)"]);
    let refused = ended_with(4, &home.run(&["send", "-"]).await);
    assert_contains(&refused, &["no token", "--token", "CALLBOARD_TOKEN"]);
    process.stop().await;
    let mut lonely = home.command(&["send", "-", "--url", "http://127.0.0.1:9"]);
    lonely.env("CALLBOARD_TOKEN", TOKEN);
    assert_contains(&ended_with(3, &pipe(lonely, "{}").await), &["http://127.0.0.1:9 can't be reached"]);
}

#[tokio::test]
async fn tenants_and_clients_are_made() {
    let home = Home::new();
    let process = home.serve().await;
    let tenant = ["tenant", "create", "opera", "--name", "The Opera", "--retention-seconds", "86400"];
    let made = said(&output(to(&home, &process, &tenant)).await);
    assert_contains(&made, &["opera: made", "Callboard-Tenant: opera"]);
    let tenant = process.get("/v1/tenants/opera").await.is(200);
    assert_eq!((&tenant["name"], &tenant["retention_seconds"]), (&json!("The Opera"), &json!(86_400)));
    let again = complained(&output(to(&home, &process, &["tenant", "create", "opera"])).await);
    assert_contains(&again, &["(409)"]);
    let client =
        ["client", "create", "Ticket shop", "--tenant", "opera", "--scopes", "write:events,read:events"];
    let shown = said(&output(to(&home, &process, &client)).await);
    let field = |name: &str| {
        let line = shown.lines().find_map(|line| line.strip_prefix(name)).expect(name);
        line.trim().to_owned()
    };
    let token = token(&process, &field("client_id:"), &field("client_secret:")).await;
    assert_eq!(token["scope"], "read:events write:events");
    let token = token["access_token"].as_str().expect("a token");
    // The client's own token publishes for the client's tenant.
    let event = json!({"id": "aria", "type": "order.paid", "subject": {"id": "1"}}).to_string();
    let mut send = to(&home, &process, &["send", "-"]);
    send.env("CALLBOARD_TOKEN", token);
    assert_eq!(said(&pipe(send, &event).await), "aria: accepted, 0 webhooks hear it\n");
    process.get("/v1/events/aria").await.is(404);
    process.stop().await;
}

/// Exchanges a client's credentials for a token.
async fn token(process: &Process, id: &str, secret: &str) -> Value {
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={secret}");
    crate::process::connection::token(process.address, form).await.expect("an answer").is(200)
}

/// The status by which a link that signs in is answered.
async fn opened(process: &Process, link: &str) -> u16 {
    let base = format!("http://{}", process.address);
    process.get(link.strip_prefix(&base).expect("where it listens")).await.status
}

#[tokio::test]
async fn a_sign_in_link_is_made_on_a_running_server() {
    let home = Home::new();
    let process = home.serve().await;
    let made = said(&output(to(&home, &process, &["sign-in-link"])).await);
    assert_eq!(opened(&process, made.trim()).await, 303);
    assert_eq!(opened(&process, made.trim()).await, 404);
    let mut stranger = to(&home, &process, &["sign-in-link"]);
    stranger.env("CALLBOARD_TOKEN", "a-token-of-somebody-else");
    assert_contains(&ended_with(4, &output(stranger).await), &["(401)"]);
    process.stop().await;
}

#[tokio::test]
async fn the_operators_token_is_made_and_shown_once() {
    let home = Home::new();
    let bare = || {
        let mut command = home.server();
        command.env_remove("CALLBOARD_ADMIN_TOKEN");
        command
    };
    let process = Process::start(bare()).await;
    let shown = process.line("cba_").await;
    let mut check = home.command(&["tenant", "create", "opera"]);
    check.env("CALLBOARD_URL", format!("http://{}", process.address)).env("CALLBOARD_TOKEN", shown.trim());
    said(&output(check).await);
    let link = process.line("/dashboard/sign-in/cbl_").await;
    assert_eq!(opened(&process, link.trim()).await, 303, "the first start says how to sign in");
    assert_eq!(opened(&process, link.trim()).await, 404, "once");
    process.stop().await;
    let process = Process::start(bare()).await;
    assert!(!process.log().iter().any(|line| line.contains("cbl_")), "{:?}", process.log());
    assert!(!process.log().iter().any(|line| line.contains("token")), "{:?}", process.log());
    let mut check = home.command(&["tenant", "create", "ballet"]);
    check.env("CALLBOARD_URL", format!("http://{}", process.address)).env("CALLBOARD_TOKEN", shown.trim());
    said(&output(check).await);
    process.stop().await;
}
