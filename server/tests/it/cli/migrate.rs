//! `callboard migrate` on the database of the run, and on those that it must not touch.

use std::process::Output;

use serde_json::{Value, json};

use super::{assert_contains, complained, output, said};
use crate::process::Home;

async fn migrate(home: &Home, more: &[&str]) -> Output {
    let mut command = home.command(&["migrate"]);
    if let Some(url) = home.server_url() {
        command.env("CALLBOARD_DATABASE", url);
    }
    command.args(more);
    output(command).await
}

/// What the command tells programs.
async fn told(home: &Home, more: &[&str]) -> Value {
    let ran = migrate(home, &[&["--json"], more].concat()).await;
    serde_json::from_slice(&ran.stdout).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_made_and_brought_up_to_date_once() {
    let home = Home::new();
    assert_contains(&complained(&migrate(&home, &["--check"]).await), &["there is nothing yet"]);
    let before = told(&home, &["--check"]).await;
    let newest = before["newest"].as_i64().expect("a version");
    assert_eq!(before, json!({"before": null, "now": null, "newest": newest}), "checking makes nothing");
    let made = said(&migrate(&home, &[]).await);
    assert_contains(&made, &[&format!("made, with version {newest}")]);
    for more in [&[][..], &["--check"]] {
        let same = said(&migrate(&home, more).await);
        assert_contains(&same, &[&format!("version {newest}; there is nothing to do")]);
    }
    assert_eq!(told(&home, &[]).await, json!({"before": newest, "now": newest, "newest": newest}));
    // It is good for a server.
    let process = home.serve().await;
    assert_contains(&said(&migrate(&home, &["--check"]).await), &["there is nothing to do"]);
    process.stop().await;
}

#[tokio::test]
async fn what_is_newer_foreign_or_in_use_is_left_alone() {
    let home = Home::on_sqlite();
    said(&migrate(&home, &[]).await);
    let path = home.path("callboard.db");
    let change = |statement: &str| {
        let conn = rusqlite::Connection::open(&path).expect("the database");
        conn.execute_batch(statement).expect("changed");
    };
    change("INSERT INTO migrations VALUES (99, x'00')");
    for more in [&[][..], &["--check"]] {
        let newer = complained(&migrate(&home, more).await);
        assert_contains(&newer, &["schema version 99", "run the newer program"]);
    }
    change("DELETE FROM migrations WHERE version = 99");
    let process = home.serve().await;
    assert_contains(&said(&migrate(&home, &[]).await), &["there is nothing to do"]);
    process.stop().await;
    change("DROP TABLE migrations");
    for more in [&[][..], &["--check"]] {
        assert_contains(&complained(&migrate(&home, more).await), &["another program"]);
    }
}
