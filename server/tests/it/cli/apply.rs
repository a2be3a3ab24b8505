//! `callboard apply` and `callboard export`: what there is to be, in a file.

use serde_json::{Value, json};

use super::{assert_contains, complained, ended_with, pipe, said, to};
use crate::process::{Home, Process, output};

const FILE: &str = "\
tenants:
  - id: opera
    name: The Opera
---
tenant: opera
clients:
  - name: Ticket shop
    scopes: [write:events, read:events]
webhooks:
  - name: Box office
    url: http://127.0.0.1:8/hook
    events: [ticket.*, order.paid]
    timeout_seconds: 5
    headers: {X-Team: box}
    authorization_header: Bearer hunter2
  - name: Mobile app
    url: http://127.0.0.1:8/app
    dialect: openticket
    resource: ticket
    trigger: update
    retries: 2
";

/// Applies a text.
async fn apply(home: &Home, process: &Process, text: &str, more: &[&str]) -> String {
    std::fs::write(home.path("webhooks.yaml"), text).expect("a file");
    let arguments = [&["apply", "-f", "webhooks.yaml"], more].concat();
    said(&output(to(home, process, &arguments)).await)
}

/// The last line, and then the others.
fn parts(shown: &str) -> (&str, Vec<&str>) {
    let mut lines: Vec<_> = shown.lines().collect();
    (lines.pop().expect("a sum"), lines)
}

async fn webhooks(home: &Home, process: &Process) -> Vec<Value> {
    let arguments = ["webhook", "list", "--json", "--tenant", "opera"];
    let listed: Value =
        serde_json::from_str(&said(&output(to(home, process, &arguments)).await)).expect("JSON");
    listed["items"].as_array().expect("items").clone()
}

#[tokio::test]
async fn what_is_applied_again_changes_nothing() {
    let home = Home::new();
    let process = home.serve().await;
    let dry = apply(&home, &process, FILE, &["--dry-run"]).await;
    assert_eq!(parts(&dry).0, "4 would be made, 0 changed, 0 deleted; 0 would stay. Nothing was done");
    process.get("/v1/tenants/opera").await.is(404);

    let made = apply(&home, &process, FILE, &[]).await;
    let (sum, lines) = parts(&made);
    assert_eq!(sum, "4 made, 0 changed, 0 deleted; 0 as they were");
    for line in [
        "+ tenant opera",
        "+ client opera/Ticket shop",
        "+ webhook opera/Box office",
        "    + events: [\"ticket.*\",\"order.paid\"]",
        "    + authorization_header: ********",
        "+ webhook opera/Mobile app",
    ] {
        assert!(lines.contains(&line), "{line}\n{made}");
    }
    assert_contains(&made, &["client_secret: cbs_", "(shown this once)"]);
    assert!(!made.contains("hunter2") && !made.contains("whsec_"), "{made}");

    let again = apply(&home, &process, FILE, &[]).await;
    let (sum, lines) = parts(&again);
    assert_eq!(sum, "0 made, 0 changed, 0 deleted; 4 as they were");
    assert_contains(&lines.join("\n"), &["authorization_header: stays as it is", "--secrets"]);
    let revisions =
        |listed: &[Value]| listed.iter().map(|webhook| webhook["revision"].clone()).collect::<Vec<_>>();
    let before = revisions(&webhooks(&home, &process).await);
    apply(&home, &process, FILE, &["--secrets"]).await;
    assert_ne!(before, revisions(&webhooks(&home, &process).await), "the secret was set");
    process.stop().await;
}

#[tokio::test]
async fn changes_are_shown_and_made_and_what_is_not_named_goes_only_when_asked() {
    let home = Home::new();
    let process = home.serve().await;
    apply(&home, &process, FILE, &[]).await;
    let changed = FILE
        .replace("timeout_seconds: 5", "timeout_seconds: 6")
        .replace("    scopes", "    enabled: false\n    scopes")
        .replace("name: The Opera", "retention_seconds: 3600");
    let changed = changed.split("  - name: Mobile app").next().expect("a part");
    let dry = apply(&home, &process, changed, &["--dry-run"]).await;
    let shown = apply(&home, &process, changed, &[]).await;
    let (sum, lines) = parts(&shown);
    assert_eq!(sum, "0 made, 3 changed, 0 deleted; 0 as they were");
    assert_eq!(parts(&dry).1, lines, "what was done is what was said");
    for line in [
        "~ tenant opera",
        "    + retention_seconds: 3600",
        "~ client opera/Ticket shop",
        "    + enabled: false",
        "~ webhook opera/Box office",
        "    - timeout_seconds: 5.0",
        "    + timeout_seconds: 6",
    ] {
        assert!(lines.contains(&line), "{line}\n{shown}");
    }
    assert_eq!(process.get("/v1/tenants/opera").await.is(200)["name"], "The Opera", "it is not named");
    assert_eq!(webhooks(&home, &process).await.len(), 2);
    let dry = apply(&home, &process, changed, &["--prune", "--dry-run"]).await;
    assert_contains(&dry, &["- webhook opera/Mobile app\n", "1 deleted", "Nothing was done"]);
    assert_eq!(webhooks(&home, &process).await.len(), 2);
    let pruned = apply(&home, &process, changed, &["--prune"]).await;
    assert_contains(&pruned, &["- webhook opera/Mobile app\n", "0 made, 0 changed, 1 deleted"]);
    let left = webhooks(&home, &process).await;
    assert_eq!(left.len(), 1);
    assert_eq!((&left[0]["name"], &left[0]["timeout_seconds"]), (&json!("Box office"), &json!(6.0)));
    process.stop().await;
}

#[tokio::test]
async fn what_is_exported_can_be_applied_and_changes_nothing() {
    let home = Home::new();
    let process = home.serve().await;
    apply(&home, &process, FILE, &[]).await;
    let exported = said(&output(to(&home, &process, &["export"])).await);
    assert_contains(&exported, &["tenants:\n", "tenant: opera\n", "- name: Box office\n", "\"********\""]);
    assert!(!exported.contains("hunter2") && !exported.contains("cbs_"), "{exported}");
    let applied = said(&pipe(to(&home, &process, &["apply", "-f", "-", "--prune"]), &exported).await);
    let (sum, lines) = parts(&applied);
    assert!(sum.starts_with("0 made, 0 changed, 0 deleted; "), "{applied}");
    assert!(lines.is_empty(), "{applied}");
    let one = said(&output(to(&home, &process, &["export", "--tenant", "opera", "--json"])).await);
    let one: Value = serde_json::from_str(&one).expect("JSON");
    assert_eq!(one["webhooks"][1]["retries"], 2);
    // A client sees its own tenant, which it does not name.
    let create = [
        "client",
        "create",
        "Robot",
        "--tenant",
        "opera",
        "--scopes",
        "admin,read:webhooks,write:webhooks",
        "--json",
    ];
    let robot: Value =
        serde_json::from_str(&said(&output(to(&home, &process, &create)).await)).expect("JSON");
    let form = format!(
        "grant_type=client_credentials&client_id={}&client_secret={}",
        robot["client_id"].as_str().expect("an id"),
        robot["client_secret"].as_str().expect("a secret"),
    );
    let token = crate::process::connection::token(process.address, form).await.expect("an answer").is(200);
    let token = token["access_token"].as_str().expect("a token");
    let mut export = to(&home, &process, &["export"]);
    export.env("CALLBOARD_TOKEN", token);
    let own = said(&output(export).await);
    assert!(own.contains("- name: Box office\n") && !own.contains("opera"), "{own}");
    let mut apply = to(&home, &process, &["apply", "-f", "-"]);
    apply.env("CALLBOARD_TOKEN", token);
    assert_contains(&said(&pipe(apply, &own).await), &["0 made, 0 changed, 0 deleted; 4 as they were"]);
    let mut foreign = to(&home, &process, &["apply", "-f", "-"]);
    foreign.env("CALLBOARD_TOKEN", token);
    assert_contains(&ended_with(4, &pipe(foreign, FILE).await), &["(403)"]);
    process.stop().await;
}

#[tokio::test]
async fn a_file_with_a_fault_changes_nothing() {
    let home = Home::new();
    let process = home.serve().await;
    let refused =
        async |text: &str| complained(&pipe(to(&home, &process, &["apply", "-f", "-"]), text).await);
    assert_contains(
        &refused("webhooks: [{url: u}]\nhook: 1\n").await,
        &["  hook: is not known", "  webhooks[0].name: is required"],
    );
    assert_contains(&refused("webhooks: [").await, &["line"]);
    let misspelt = refused("tenants: [{id: opera}]\n---\ntenant: opra\nwebhooks: []\n").await;
    assert_contains(&misspelt, &["there is no tenant opra"]);
    process.get("/v1/tenants/opera").await.is(404);
    process.get("/v1/tenants/opra").await.is(404);
    let masked = "tenants: [{id: opera}]\n---\ntenant: opera\nwebhooks: [{name: a, url: 'http://127.0.0.1:8/', events: ['*'], authorization_header: '********'}]\n";
    assert_contains(
        &refused(masked).await,
        &["nothing was done", "webhook opera/a: authorization_header: is masked"],
    );
    process.get("/v1/tenants/opera").await.is(404);
    // What the server refuses is told with its faults, and what was done before it.
    let wrong = "webhooks: [{name: a, url: 'http://127.0.0.1:8/', events: ['*'], colour: red}]\n";
    assert_contains(&refused(wrong).await, &["webhook a: ", "/colour: ", "apply goes on from there"]);
    // A name that two have finds neither.
    for _ in 0..2 {
        process.make_webhook(&json!({"name": "a", "url": "http://127.0.0.1:8/", "events": ["*"]})).await;
    }
    let twice = "webhooks: [{name: a, url: 'http://127.0.0.1:8/', events: ['*']}]\n";
    assert_contains(&refused(twice).await, &["webhook a: there are several", "rename"]);
    process.stop().await;
}
