//! Commands that show and change what is on a server.

use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

use super::{assert_contains, complained, ended_with, pipe, said, to};
use crate::process::hearer::{Hearer, Manner};
use crate::process::{Home, PATIENCE, Process, output, text};

/// Runs a command that has to succeed.
async fn tell(home: &Home, process: &Process, arguments: &[&str]) -> String {
    said(&output(to(home, process, arguments)).await)
}

/// The same, as the JSON that it shows.
async fn json_of(home: &Home, process: &Process, arguments: &[&str]) -> Value {
    let shown = tell(home, process, &[arguments, &["--json"]].concat()).await;
    serde_json::from_str(&shown).expect("JSON")
}

#[tokio::test]
async fn a_webhook_is_made_edited_paused_and_deleted() {
    let home = Home::new();
    let process = home.serve().await;
    let create = [
        "webhook",
        "create",
        "--url",
        "http://127.0.0.1:8/",
        "--name",
        "Bar",
        "--events",
        "order.*,ticket.paid",
        "--set",
        "retry.schedule_seconds=[1,2]",
        "--set",
        "headers.x-team=bar",
    ];
    let made = json_of(&home, &process, &create).await;
    let id = made["id"].as_str().expect("an id");
    assert_eq!(made["events"], json!(["order.*", "ticket.paid"]));
    assert_eq!(made["retry"], json!({"schedule_seconds": [1.0, 2.0]}));
    assert_eq!(made["headers"], json!({"x-team": "bar"}));
    let shown = json_of(&home, &process, &["webhook", "show", id]).await;
    assert_eq!(shown, process.get(&format!("/v1/webhooks/{id}")).await.is(200));
    let secret = json_of(&home, &process, &["webhook", "secret", id]).await;
    assert_eq!(secret["secret"], made["secret"]);
    let rotate = ["webhook", "secret", id, "--rotate", "--overlap-seconds", "60"];
    let renewed = json_of(&home, &process, &rotate).await;
    assert_eq!(renewed["previous"][0]["secret"], made["secret"]);

    // What is edited comes from standard input, and flags go before it.
    let edit = to(&home, &process, &["webhook", "edit", id, "-f", "-", "--name", "Foyer", "--json"]);
    let edited = said(&pipe(edit, &json!({"name": "Bar", "timeout_seconds": 5}).to_string()).await);
    let edited: Value = serde_json::from_str(&edited).expect("JSON");
    assert_eq!((&edited["name"], &edited["timeout_seconds"]), (&json!("Foyer"), &json!(5.0)));

    for (action, status) in
        [("pause", "paused"), ("resume", "active"), ("disable", "disabled"), ("enable", "active")]
    {
        assert_eq!(tell(&home, &process, &["webhook", action, id]).await, format!("{id}: {status}\n"));
    }
    let list = tell(&home, &process, &["webhook", "list", "--search", "foy", "--status", "active"]).await;
    let lines: Vec<_> = list.lines().collect();
    assert_eq!(lines.len(), 2, "{list}");
    assert!(lines[0].starts_with("ID  ") && lines[0].ends_with("URL"), "{list}");
    assert_contains(
        lines[1],
        &[id, "Foyer", "active", "native", "order.*, ticket.paid", "http://127.0.0.1:8/"],
    );
    assert!(!list.contains('\u{1b}'), "colours are for terminals: {list}");
    let mut coloured = to(&home, &process, &["webhook", "list"]);
    coloured.env("CLICOLOR_FORCE", "1");
    assert_contains(&said(&output(coloured).await), &["\u{1b}[32mactive\u{1b}[0m"]);

    assert_eq!(tell(&home, &process, &["webhook", "delete", id]).await, format!("{id}: deleted\n"));
    let gone = ended_with(5, &output(to(&home, &process, &["webhook", "show", id])).await);
    assert_contains(&gone, &["(404)"]);
    let none = output(to(&home, &process, &["webhook", "list"])).await;
    assert_eq!((said(&none), text(&none.stderr)), (String::new(), "no webhooks\n".to_owned()));
    process.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_told_fault_by_fault_and_by_the_exit_code() {
    let home = Home::new();
    let process = home.serve().await;
    let make = ["webhook", "create", "--url", "ftp://a", "--set", "timeout_seconds=0", "--set", "colour=red"];
    let refused = complained(&output(to(&home, &process, &make)).await);
    for fault in ["  /url: ", "  /timeout_seconds: ", "  /colour: "] {
        assert_eq!(refused.lines().filter(|line| line.starts_with(fault)).count(), 1, "{fault}\n{refused}");
    }
    for (wrong, told) in [
        (&["webhook", "edit", "1", "--set", "name"][..], "--set name=value"),
        (&["webhook", "edit", "1"], "there is nothing to edit"),
        (&["tenant", "edit", "opera"], "there is nothing to edit"),
        (&["delivery", "list"], "--webhook <ID>|--event <ID>"),
        (&["listen"], "--forward <URL>|--print"),
        (&["webhook"], "Usage: callboard webhook <COMMAND>"),
    ] {
        assert_contains(&ended_with(2, &output(to(&home, &process, wrong)).await), &[told]);
    }
    for (input, told) in [("", "standard input holds no JSON"), ("[]", "standard input has to hold")] {
        let wrong = pipe(to(&home, &process, &["webhook", "create", "-f", "-"]), input).await;
        assert_contains(&ended_with(2, &wrong), &[told]);
    }
    let wrong = complained(&pipe(to(&home, &process, &["apply", "-f", "-"]), "colour: red").await);
    assert_contains(&wrong, &["standard input can't be applied"]);
    let wrong = complained(&pipe(to(&home, &process, &["send", "-"]), "no JSON").await);
    assert_contains(&wrong, &["\n  is not valid JSON"]);
    let missing = ended_with(5, &output(to(&home, &process, &["webhook", "show", "nope"])).await);
    assert_contains(&missing, &["there is nothing here at /v1/webhooks/nope (404)", "--tenant"]);
    std::fs::write(home.path("list.json"), "[]").expect("a file");
    let wrong = ended_with(2, &output(to(&home, &process, &["webhook", "create", "-f", "list.json"])).await);
    assert_contains(&wrong, &["list.json has to hold one JSON object"]);
    ended_with(5, &output(to(&home, &process, &["event", "show", "../webhooks"])).await);
    process.stop().await;
}

#[tokio::test]
async fn events_are_listed_over_several_pages_and_deliveries_shown_and_sent_again() {
    let home = Home::new();
    let hearer = Hearer::start(&[("/hook", Manner::Prompt)]).await;
    let process = home.serve().await;
    let webhook = process.make_webhook(&json!({"url": hearer.url("/hook"), "events": ["order.paid"]})).await;
    let events: Value = (0..230)
        .map(|number| {
            let type_name = if number == 0 { "order.paid" } else { "order.created" };
            json!({"id": format!("e{number}"), "type": type_name, "subject": {"id": "1"}})
        })
        .collect();
    let published =
        said(&pipe(to(&home, &process, &["event", "send", "-", "--json"]), &events.to_string()).await);
    let published: Value = serde_json::from_str(&published).expect("JSON");
    assert_eq!(published["events"].as_array().map(Vec::len), Some(230));
    let listed = json_of(&home, &process, &["event", "list", "--limit", "220"]).await;
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(220));
    assert_eq!((&listed["items"][0]["id"], &listed["items"][219]["id"]), (&json!("e229"), &json!("e10")));
    assert!(listed["next"].is_string());
    let all = json_of(&home, &process, &["event", "list", "--limit", "1000"]).await;
    assert_eq!((all["items"].as_array().map(Vec::len), &all["next"]), (Some(230), &Value::Null));
    let one = ["event", "list", "--type", "order.paid", "--since", "1h"];
    assert_contains(&tell(&home, &process, &one).await, &["order.paid", "e0"]);
    assert_contains(&tell(&home, &process, &["event", "show", "e0"]).await, &["order.paid", "\"id\":\"1\""]);

    process.until_drained(&[&webhook]).await;
    let listed = json_of(&home, &process, &["delivery", "list", "--webhook", &webhook]).await;
    let delivery = listed["items"][0]["id"].as_str().expect("an id").to_owned();
    let by_event = json_of(&home, &process, &["delivery", "list", "--event", "e0"]).await;
    assert_eq!(by_event["items"][0]["id"], json!(delivery));
    let shown = tell(&home, &process, &["delivery", "show", &delivery]).await;
    assert_contains(&shown, &["delivered", "ATTEMPT", "MILLISECONDS", "200"]);
    let retried = tell(&home, &process, &["delivery", "retry", &delivery]).await;
    assert_contains(&retried, &["is sent again"]);
    process.until_drained(&[&webhook]).await;
    let refused = complained(&output(to(&home, &process, &["delivery", "cancel", &delivery])).await);
    assert_contains(&refused, &["(409)"]);

    let ping = tell(&home, &process, &["webhook", "ping", &webhook]).await;
    assert_contains(&ping, &["dlv_", "on its way"]);
    let retried = output(to(&home, &process, &["webhook", "retry-failed", &webhook, "--wait"])).await;
    assert_contains(&said(&retried), &["finished, 0 of 0 sent"]);
    assert_contains(&tell(&home, &process, &["job", "list"]).await, &["retry_failed", "finished", &webhook]);
    assert_contains(&tell(&home, &process, &["job", "show", "job_1", "--wait"]).await, &["job_1: finished"]);
    let audit = tell(&home, &process, &["audit", "--action", "webhook.*"]).await;
    assert_contains(&audit, &["WHO", "operator", "webhook.created", &webhook]);
    process.stop().await;
}

#[tokio::test]
async fn tenants_and_clients_are_listed_and_changed() {
    let home = Home::new();
    let process = home.serve().await;
    tell(&home, &process, &["tenant", "create", "opera"]).await;
    let edit = ["tenant", "edit", "opera", "--name", "The Opera", "--set", "retention_seconds=3600"];
    assert_contains(&tell(&home, &process, &edit).await, &["The Opera", "3600"]);
    assert_contains(&tell(&home, &process, &["tenant", "show", "opera"]).await, &["The Opera"]);
    assert_contains(&tell(&home, &process, &["tenant", "list"]).await, &["opera", "The Opera", "3600"]);
    let made = json_of(&home, &process, &["client", "create", "Shop", "--tenant", "opera"]).await;
    let id = made["client_id"].as_str().expect("an id");
    let of_opera = |words: &[&'static str]| [words, &["--tenant", "opera"]].concat();
    assert_contains(&tell(&home, &process, &of_opera(&["client", "list"])).await, &[id, "Shop", "enabled"]);
    for (action, state) in [("disable", "disabled"), ("enable", "enabled")] {
        let act = ["client", action, id, "--tenant", "opera"];
        assert_eq!(tell(&home, &process, &act).await, format!("{id}: {state}\n"));
    }
    let shown = tell(&home, &process, &["client", "show", id, "--tenant", "opera"]).await;
    assert!(!shown.contains("cbs_"), "{shown}");
    // Another tenant has no such client.
    ended_with(5, &output(to(&home, &process, &["client", "show", id])).await);
    tell(&home, &process, &["client", "delete", id, "--tenant", "opera"]).await;
    ended_with(5, &output(to(&home, &process, &["client", "show", id, "--tenant", "opera"])).await);
    assert_contains(&tell(&home, &process, &["audit", "--deployment"]).await, &["tenant.created", "opera"]);
    process.stop().await;
}

#[tokio::test]
async fn whoever_reads_only_the_beginning_has_got_what_they_wanted_and_a_full_disk_is_told() {
    let home = Home::new();
    let process = home.serve().await;
    let id = process.make_webhook(&json!({"url": "http://127.0.0.1:8/", "events": ["order.*"]})).await;
    let unread = || {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        writer
    };
    // Other than `output`, this leaves standard output as it was set.
    let until_end = async |mut command: Command| {
        let child = command.spawn().expect("it starts");
        timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").expect("it runs")
    };
    let event = json!({"type": "order.paid", "subject": {"id": "1"}});
    process.post("/v1/events", &event).await.is(202);
    let calm = |arguments: &[&str]| {
        let mut command = to(&home, &process, arguments);
        command.stdout(unread());
        command
    };
    for arguments in
        [&["webhook", "pause", &id][..], &["webhook", "list"], &["listen", "--print", "--since", "1h"]]
    {
        let ended = until_end(calm(arguments)).await;
        assert!(
            ended.status.success() && !text(&ended.stderr).contains("panicked"),
            "{arguments:?}: {ended:?}"
        );
    }
    // Nobody hears what is wrong, but the code tells that something is.
    let mut mute = calm(&["webhook", "show", "nope"]);
    mute.stderr(unread());
    assert_eq!(mute.status().await.expect("it runs").code(), Some(5));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a full disk");
    let mut refused = to(&home, &process, &["client", "create", "Shop"]);
    refused.stdout(full);
    assert_contains(
        &complained(&until_end(refused).await),
        &["standard output can't be written: No space left"],
    );
    process.stop().await;
}
