//! `callboard login`: servers that are stored, and how to sign in to them.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;
use tokio::process::Command;

use super::{assert_contains, ended_with, pipe, said, to};
use crate::process::{Home, Process, TOKEN, output};

/// A command of somebody with a folder for settings, and nothing else.
fn own(home: &Home, arguments: &[&str]) -> Command {
    let mut command = home.command(arguments);
    command.env("XDG_CONFIG_HOME", home.path("config"));
    command
}

fn url(process: &Process) -> String {
    format!("http://{}", process.address)
}

#[tokio::test]
async fn a_token_is_checked_and_stored_for_its_owner_only() {
    let home = Home::new();
    let process = home.serve().await;
    let url = url(&process);
    let login = ["login", "--url", &url, "--token-stdin", "--tenant", "opera"];
    let refused = ended_with(4, &pipe(own(&home, &login), "somebody-elses-token").await);
    assert_contains(&refused, &["the token is not valid"]);
    assert!(!home.path("config").exists());
    ended_with(2, &pipe(own(&home, &login), " \n").await);
    let elsewhere = ["login", "--url", "http://127.0.0.1:9", "--token-stdin"];
    ended_with(3, &pipe(own(&home, &elsewhere), TOKEN).await);

    let stored = said(&pipe(own(&home, &login), &format!("{TOKEN}\n")).await);
    assert_contains(&stored, &["default: stored in", "config/callboard/profiles.toml"]);
    let file = home.path("config").join("callboard").join("profiles.toml");
    let mode = std::fs::metadata(&file).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    said(&output(own(&home, &["client", "create", "Shop"])).await);
    let listed = said(&output(to(&home, &process, &["client", "list", "--tenant", "opera"])).await);
    assert_contains(&listed, &["Shop"]);
    // What the environment says goes before the profile, whose token is for its server only.
    let mut other = own(&home, &["webhook", "list"]);
    other.env("CALLBOARD_URL", "http://127.0.0.1:9");
    assert_contains(&ended_with(4, &output(other).await), &["no token for http://127.0.0.1:9"]);
    let mut other = own(&home, &["webhook", "list"]);
    other.env("CALLBOARD_TOKEN", "somebody-elses-token");
    ended_with(4, &output(other).await);

    let listed = said(&output(own(&home, &["profile", "list"])).await);
    assert_contains(&listed, &["default", &url, "opera", "a token"]);
    assert!(!listed.contains(TOKEN), "{listed}");
    said(&output(own(&home, &["logout"])).await);
    ended_with(4, &output(own(&home, &["webhook", "list"])).await);
    ended_with(2, &output(own(&home, &["logout"])).await);
    process.stop().await;
}

#[tokio::test]
async fn a_client_gets_its_tokens_by_itself() {
    let home = Home::new();
    let process = home.serve().await;
    let url = url(&process);
    let create = ["client", "create", "Shop", "--scopes", "write:events", "--tenant", "opera", "--json"];
    let made: Value = serde_json::from_str(&said(&output(to(&home, &process, &create)).await)).expect("JSON");
    let (id, secret) =
        (made["client_id"].as_str().expect("an id"), made["client_secret"].as_str().expect("it"));
    let login = ["login", "--url", &url, "--client-id", id, "--profile", "shop"];
    assert_contains(
        &ended_with(4, &pipe(own(&home, &login), "cbs_wrong").await),
        &["the client gets no token"],
    );
    assert_contains(&said(&pipe(own(&home, &login), secret).await), &["shop: stored", "--profile shop"]);
    let event = r#"{"id": "aria", "type": "order.paid", "subject": {"id": "1"}}"#;
    let sent = said(&pipe(own(&home, &["send", "-", "--profile", "shop"]), event).await);
    assert_eq!(sent, "aria: accepted, 0 webhooks hear it\n");
    let mut list = own(&home, &["webhook", "list"]);
    list.env("CALLBOARD_PROFILE", "shop");
    assert_contains(&ended_with(4, &output(list).await), &["(403)", "scope"]);
    let listed = said(&output(own(&home, &["profile", "list", "--json"])).await);
    assert!(listed.contains(id) && !listed.contains("cbs_"), "{listed}");
    let missing = ended_with(2, &output(own(&home, &["webhook", "list", "--profile", "ballet"])).await);
    assert_contains(&missing, &["no profile \"ballet\" (shop)", "callboard login"]);
    process.stop().await;
}
