//! Backups from the command line, of a database that a server is using.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::process::{Home, Process, connection, text, until};

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout)
}

fn complaint(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    text(&output.stderr)
}

fn event(number: u64) -> Value {
    let subject = format!("T-{}", number % 7);
    json!({"id": format!("event-{number}"), "type": "ticket.updated", "subject": {"id": subject}})
}

/// Publishes one event after the other, and counts those that were accepted.
async fn publish(process: std::net::SocketAddr, published: Arc<AtomicU64>, stop: CancellationToken) {
    while !stop.is_cancelled() {
        let number = published.load(Ordering::SeqCst);
        connection::post(process, "/v1/events", &event(number)).await.expect("an answer").is(202);
        published.store(number + 1, Ordering::SeqCst);
    }
}

async fn until_published(published: &AtomicU64, number: u64) {
    until("enough is published", async || (published.load(Ordering::SeqCst) >= number).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_is_whole_as_of_one_moment() {
    let home = Home::new();
    let process = home.serve().await;
    process.make_webhook(&json!({"url": "http://127.0.0.1:8/", "events": ["*"]})).await;
    let (published, stop, load) = (Arc::new(AtomicU64::new(0)), CancellationToken::new(), TaskTracker::new());
    load.spawn(publish(process.address, Arc::clone(&published), stop.clone()));
    until_published(&published, 50).await;
    let before = published.load(Ordering::SeqCst);
    let shown = succeeded(&home.run(&["backup", "copy.db", "--json", "--full-check"]).await);
    let after = published.load(Ordering::SeqCst);
    until_published(&published, after + 10).await;
    stop.cancel();
    load.close();
    load.wait().await;
    process.stop().await;

    let shown: Value = serde_json::from_str(&shown).expect("JSON");
    // One more is the program's own.
    let copied = shown["rows"]["events"].as_u64().expect("a count") - 1;
    assert!((before..=after + 1).contains(&copied), "{copied} of {before} to {after}: {shown}");
    assert_eq!(shown["bytes"], std::fs::metadata(home.path("copy.db")).expect("a file").len());
    let mode = std::fs::metadata(home.path("copy.db")).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert_is_part_of(&home.path("copy.db"), &home.path("callboard.db"));
    let left =
        std::fs::read_dir(home.path("")).expect("a folder").map(|file| file.expect("a file").file_name());
    let left: Vec<_> = left.filter(|name| name.to_string_lossy().starts_with("copy.db")).collect();
    assert_eq!(left, ["copy.db"]);

    // A server goes on from there.
    let mut command = home.server();
    command.args(["--database", "sqlite:copy.db"]);
    let process = Process::start(command).await;
    process.until_ready().await;
    process.get(&format!("/v1/events/event-{}", copied - 1)).await.is(200);
    process.get(&format!("/v1/events/event-{copied}")).await.is(404);
    process.stop().await;
    // Of every event all that came of it was there.
    let conn = Connection::open(home.path("copy.db")).expect("the copy");
    let lost = "SELECT count(*) FROM events WHERE length(webhooks) > 0 AND NOT EXISTS (
            SELECT 1 FROM pending WHERE event = events.key
        ) AND NOT EXISTS (SELECT 1 FROM attempts WHERE event = events.key)";
    assert_eq!(conn.query_row(lost, [], |row| row.get::<_, i64>(0)), Ok(0));
}

/// Compares what is in a copy with the database that it is of.
fn assert_is_part_of(copy: &Path, database: &Path) {
    let conn = Connection::open(database).expect("the database");
    conn.execute("ATTACH ?1 AS copy", [copy.to_str().expect("a path")]).expect("the copy");
    let number = |sql: &str| conn.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
    // Events never change, and none is missing in between.
    let other = "SELECT count(*) FROM (SELECT * FROM copy.events EXCEPT SELECT * FROM main.events)";
    assert_eq!(number(other), 0);
    let missing = "SELECT count(*) - (SELECT count(*) FROM copy.events) FROM main.events
        WHERE key <= (SELECT max(key) FROM copy.events)";
    assert_eq!(number(missing), 0);
}

#[tokio::test]
async fn nothing_is_replaced_that_was_not_meant() {
    let home = Home::new();
    let process = home.serve().await;
    std::fs::write(home.path("old.db"), "something dear").expect("a file");
    let kept = |name: &str| std::fs::read_to_string(home.path(name)).expect("a file");
    let refused = complaint(&home.run(&["backup", "old.db"]).await);
    assert!(refused.contains("old.db exists already") && refused.contains("--force"), "{refused}");
    assert_eq!(kept("old.db"), "something dear");
    for itself in ["callboard.db", "./callboard.db"] {
        let refused = complaint(&home.run(&["backup", itself, "--force"]).await);
        assert!(refused.contains("is the database itself"), "{refused}");
    }
    // A log that lies there would be taken for the copy's own.
    std::fs::write(home.path("other.db-wal"), "").expect("a file");
    let refused = complaint(&home.run(&["backup", "other.db", "--force"]).await);
    assert!(refused.contains("other.db-wal exists"), "{refused}");
    let refused = complaint(&home.run(&["backup", "copy.db", "--database", "sqlite:missing.db"]).await);
    assert!(refused.contains("no database at missing.db"), "{refused}");
    assert!(!home.path("missing.db").exists() && !home.path("copy.db").exists());
    // What a backup left that was killed is no obstacle.
    std::fs::write(home.path("old.db.partial"), "half").expect("a file");
    let said = succeeded(&home.run(&["backup", "old.db", "--force"]).await);
    assert!(said.starts_with("old.db: ") && said.ends_with("rows, checked\n"), "{said}");
    assert!(!home.path("old.db.partial").exists());
    Connection::open(home.path("old.db"))
        .expect("a database")
        .query_row("SELECT 1 FROM migrations", [], |_| Ok(()))
        .expect("rows");
    process.stop().await;
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_not_copied() {
    let home = Home::new();
    std::fs::write(
        home.path("text.db"),
        "This is a text and no database, however long it may be.".repeat(40),
    )
    .expect("a file");
    let refused = complaint(&home.run(&["backup", "copy.db", "--database", "sqlite:text.db"]).await);
    assert!(refused.contains("no SQLite database"), "{refused}");
    let conn = Connection::open(home.path("other.db")).expect("a database");
    conn.execute_batch("CREATE TABLE bookmarks (url TEXT)").expect("a table");
    let refused = complaint(&home.run(&["backup", "copy.db", "--database", "sqlite:other.db"]).await);
    assert!(refused.contains("another program"), "{refused}");
    let postgres = ["backup", "copy.db", "--database", "postgres://callboard:hunter2@127.0.0.1:1/callboard"];
    let refused = complaint(&home.run(&postgres).await);
    assert!(refused.contains("pg_dump") && !refused.contains("hunter2"), "{refused}");
    let left = |name: &str| home.path(name).exists();
    assert!(!left("copy.db") && !left("copy.db.partial"));
}
