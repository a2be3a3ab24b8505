//! A database that can't be written, or can't be opened.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::process::connection::Connection;
use crate::process::hearer::{Hearer, Manner};
use crate::process::{Home, Process, output, size, text};

mod full;

/// The user `nobody`, for whom permissions count.
const NOBODY: u32 = 65_534;

fn event(id: &str) -> Value {
    json!({"id": id, "type": "order.paid", "subject": {"id": id}, "data": {"padding": "x".repeat(500)}})
}

fn events(name: &str, count: usize) -> Value {
    (0..count).map(|number| event(&format!("{name}-{number}"))).collect()
}

/// What still works, and what is refused, while nothing can be written.
async fn assert_reads_only(process: &Process, webhook: &str, known: &str) {
    process.post("/v1/events", &event("refused")).await.assert_unavailable();
    process.post("/v1/events", &events("refused", 20)).await.assert_unavailable();
    let unready = process.get("/readyz").await;
    unready.assert_unavailable();
    assert_eq!(unready.json["condition"], "degraded");
    process.get("/healthz").await.is(200);
    process.get(&format!("/v1/events/{known}")).await.is(200);
    process.get(&format!("/v1/webhooks/{webhook}/deliveries")).await.is(200);
    let settings = json!({"url": "http://127.0.0.1:8/", "events": ["*"]});
    process.post("/v1/webhooks", &settings).await.assert_unavailable();
}

/// The database came back: what was refused left no trace, and each of
/// `accepted` came once.
async fn assert_recovered(process: &Process, hearer: &Hearer, webhook: &str, accepted: usize) {
    process.until_ready().await;
    for refused in ["refused", "refused-0", "refused-19"] {
        process.get(&format!("/v1/events/{refused}")).await.is(404);
    }
    process.post("/v1/events", &events("after", 50)).await.is(202);
    process.until_drained(&[webhook]).await;
    assert_eq!(hearer.tally("/hook"), (accepted + 50, 0));
    assert_eq!(process.deliveries(webhook, "failed").await, Vec::<Value>::new());
    assert!(!hearer.taken("/hook").keys().any(|id| id.starts_with("refused")));
}

async fn make_webhook(process: &Process, hearer: &Hearer) -> String {
    process.make_webhook(&json!({"url": hearer.url("/hook"), "events": ["order.*"]})).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_no_file_may_be_written_it_refuses_and_recovers() {
    let home = Home::on_sqlite();
    let hearer = Hearer::start(&[("/hook", Manner::Held)]).await;
    let process = home.serve().await;
    let webhook = make_webhook(&process, &hearer).await;
    process.post("/v1/events", &events("before", 100)).await.is(202);
    hearer.until("deliveries are under way", |counts| counts.held == 16).await;
    process.limit_files(Some(0));
    // These are delivered now, and can't be written down.
    hearer.let_go();
    assert_reads_only(&process, &webhook, "before-0").await;
    process.line("outcomes can't be written yet").await;
    process.limit_files(None);
    assert_recovered(&process, &hearer, &webhook, 100).await;
    process.stop().await;
    // And all of it is on disk.
    let process = home.serve().await;
    for id in ["before-0", "before-99", "after-49"] {
        process.get(&format!("/v1/events/{id}")).await.is(200);
    }
    assert_eq!(process.deliveries(&webhook, "pending,waiting").await, Vec::<Value>::new());
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_breaks_off_halfway_is_undone() {
    let home = Home::on_sqlite();
    let hearer = Hearer::start(&[("/hook", Manner::Prompt)]).await;
    let process = home.serve().await;
    let webhook = make_webhook(&process, &hearer).await;
    // Room for some more, but not for what follows.
    let log = size(&home.path("callboard.db-wal"));
    process.limit_files(Some(log + 256 * 1024));
    let mut connection = Connection::open(process.address).await.expect("a connection");
    let mut accepted = 0;
    let refused = loop {
        let batch = events(&format!("batch-{accepted}"), 100);
        let answer = connection.publish(&batch).await.expect("an answer");
        if answer.status != 202 {
            break answer;
        }
        accepted += 100;
    };
    refused.assert_unavailable();
    process.get(&format!("/v1/events/batch-{accepted}-0")).await.is(404);
    process.limit_files(None);
    assert_recovered(&process, &hearer, &webhook, accepted).await;
    process.stop().await;
}

/// What a command that has to fail says about it.
fn refusal(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    text(&output.stderr)
}

async fn refusal_of(home: &Home, database: &str) -> String {
    let mut command = home.server();
    command.args(["--database", database]);
    refusal(&output(command).await)
}

#[tokio::test]
async fn a_second_process_on_the_same_database_is_refused() {
    let home = Home::on_sqlite();
    let first = home.serve().await;
    let said = refusal(&output(home.server()).await);
    assert!(said.contains(&format!("is in use by another process (pid {})", first.pid())), "{said}");
    first.until_ready().await;
    first.kill().await;
    // A lock does not outlive its process, however that ended.
    home.serve().await.stop().await;
}

#[tokio::test]
async fn a_database_of_a_newer_version_is_left_alone() {
    let home = Home::on_sqlite();
    home.serve().await.stop().await;
    let database = rusqlite::Connection::open(home.path("callboard.db")).expect("a database");
    database.execute("INSERT INTO migrations VALUES (99, x'00')", []).expect("a row");
    drop(database);
    let said = refusal(&output(home.server()).await);
    assert!(said.contains("the database has schema version 99"), "{said}");
    assert!(said.contains("run the newer program, or restore a backup"), "{said}");
}

#[tokio::test]
async fn a_path_that_can_not_hold_a_database_is_named() {
    let home = Home::on_sqlite();
    let said = refusal_of(&home, "sqlite:missing/callboard.db").await;
    assert!(said.contains("missing/callboard.db"), "{said}");
    assert!(said.contains("check that its directory exists"), "{said}");
    std::fs::write(home.path("letter.txt"), "Dear Sir or Madam, ".repeat(100)).expect("a file");
    let said = refusal_of(&home, "sqlite:letter.txt").await;
    assert!(said.contains("is no SQLite database"), "{said}");
    let said = refusal_of(&home, "mysql://callboard:hunter2@127.0.0.1/callboard").await;
    assert!(said.contains("sqlite:") && !said.contains("hunter2"), "{said}");
}

#[tokio::test]
async fn a_file_that_may_not_be_written_is_named() {
    let home = Home::on_sqlite();
    home.serve().await.stop().await;
    let allow = |name: &str, mode: u32| {
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(home.path(name), permissions).expect("permissions");
    };
    allow("callboard.db-lock", 0o666);
    allow("callboard.key", 0o444);
    allow("callboard.db", 0o444);
    allow("", 0o777);
    let said = match unprivileged(home.server()).await {
        Ok(output) => refusal(&output),
        Err(error) => {
            println!("skipped: a file that may not be written ({error})");
            return;
        }
    };
    assert!(said.contains("callboard.db can't be opened"), "{said}");
    assert!(said.contains("Permission denied"), "{said}");
}

/// Runs the command as a user whom permissions bind.
async fn unprivileged(mut command: Command) -> std::io::Result<Output> {
    if rustix::process::geteuid().is_root() {
        command.uid(NOBODY);
    }
    command.output().await
}
