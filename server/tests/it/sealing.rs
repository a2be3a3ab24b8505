//! Keys that seal secrets are made, asked for, and changed while everything goes
//! on; and nothing that the program says shows a secret.

#![expect(clippy::expect_used, reason = "a test that can't go on has failed")]

use std::os::unix::fs::PermissionsExt as _;
use std::process::Output;

use callboard_store::sealing::EncryptionKey;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::process::connection::{self, Connection};
use crate::process::{Home, Process, TOKEN, output, text, until};

/// Stands in the settings of each webhook of these tests.
const HEADER: &str = "Bearer sesame-of-the-tests";

fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    text(&output.stdout)
}

/// Runs a command that talks to this server.
async fn ask(home: &Home, process: &Process, arguments: &[&str]) -> Output {
    let url = format!("http://{}", process.address);
    home.run(&[arguments, &["--url", &url, "--token", TOKEN]].concat()).await
}

fn webhook(name: &str, url: &str) -> Value {
    json!({"name": name, "url": url, "events": ["ticket.*"], "authorization_header": HEADER})
}

fn key_file(home: &Home) -> std::path::PathBuf {
    home.path("callboard.key")
}

fn id_of(file: &str) -> String {
    EncryptionKey::read_list(file).expect("keys")[0].id().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_made_on_the_first_start_and_asked_for_afterwards() {
    let home = Home::new();
    let process = home.serve().await;
    let file = std::fs::read_to_string(key_file(&home)).expect("the file of keys");
    let id = id_of(&file);
    assert!(process.line("made a key that seals").await.contains(&id));
    let permissions = std::fs::metadata(key_file(&home)).expect("the file of keys").permissions();
    assert_eq!(permissions.mode() & 0o777, 0o600);
    let made = process.post("/v1/webhooks", &webhook("one", "http://127.0.0.1:8/")).await.is(201);
    process.stop().await;

    let away = home.path("away.key");
    std::fs::rename(key_file(&home), &away).expect("moved away");
    let refused = output(home.server()).await;
    let said = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("error: the secrets in the database are sealed with the encryption key"), "{said}");
    assert!(said.contains(&id) && !key_file(&home).exists(), "{said}");

    // The setting and its file say the same as the file of keys.
    let mut command = home.server();
    command.env("CALLBOARD_ENCRYPTION_KEYS_FILE", &away);
    let process = Process::start(command).await;
    let path = format!("/v1/webhooks/{}/secret", made["id"].as_str().expect("an id"));
    assert_eq!(process.get(&path).await.is(200)["secret"], made["secret"]);
    let listed = succeeded(&ask(&home, &process, &["keys", "list"]).await);
    assert!(listed.starts_with(&id) && listed.trim_end().ends_with("seals"), "{listed}");
    process.stop().await;
}

/// Edits webhooks and publishes, one after the other, until it is told to stop.
async fn load(to: std::net::SocketAddr, webhooks: Vec<String>, stop: CancellationToken) -> usize {
    let mut connection = Connection::open(to).await.expect("a connection");
    let mut edits = 0;
    while !stop.is_cancelled() {
        let path = format!("/v1/webhooks/{}", webhooks[edits % webhooks.len()]);
        let edit = json!({"authorization_header": HEADER, "name": format!("edit {edits}")}).to_string();
        connection.send("PATCH", &path, edit.into()).await.expect("an answer").is(200);
        let event = json!({"type": "ticket.updated", "subject": {"id": "T-1"}});
        connection.publish(&event).await.expect("an answer").is(202);
        edits += 1;
    }
    edits
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_changed_under_load_and_the_old_one_is_not_needed_afterwards() {
    let home = Home::new();
    let process = home.serve().await;
    let mut made = Vec::new();
    for number in 0..40 {
        let settings = webhook(&format!("number {number}"), "http://127.0.0.1:8/");
        made.push(process.post("/v1/webhooks", &settings).await.is(201));
    }
    let ids: Vec<String> = made.iter().map(|one| one["id"].as_str().expect("an id").to_owned()).collect();
    let client = json!({"name": "Shop", "scopes": ["read:webhooks"]});
    let client = process.post("/v1/clients", &client).await.is(201);
    let [client_id, client_secret] =
        ["client_id", "client_secret"].map(|name| client[name].as_str().expect("a text"));
    let form = format!("grant_type=client_credentials&client_id={client_id}&client_secret={client_secret}");
    let token = connection::token(process.address, form).await.expect("an answer").is(200);
    let token = token["access_token"].as_str().expect("a token");
    process.stop().await;

    let old = std::fs::read_to_string(key_file(&home)).expect("the file of keys");
    let new = succeeded(&home.run(&["keys", "generate"]).await);
    std::fs::write(key_file(&home), format!("{new}{old}")).expect("written");
    let process = home.serve().await;
    let before = succeeded(&ask(&home, &process, &["keys", "list"]).await);
    assert!(
        before.lines().nth(1).is_some_and(|line| line.starts_with(&id_of(&old)) && line.ends_with("opens"))
    );
    let stop = CancellationToken::new();
    let load = tokio::spawn(load(process.address, ids.clone(), stop.clone()));
    let rotated = succeeded(&ask(&home, &process, &["keys", "rotate"]).await);
    assert!(rotated.contains("rows were sealed anew"), "{rotated}");
    stop.cancel();
    assert!(load.await.expect("the load ends") > 0);
    let after = succeeded(&ask(&home, &process, &["keys", "list"]).await);
    assert!(after.lines().nth(1).is_some_and(|line| line.ends_with("can be removed")), "{after}");
    process.stop().await;

    std::fs::write(key_file(&home), &new).expect("written");
    let process = home.serve().await;
    for one in &made {
        let path = format!("/v1/webhooks/{}", one["id"].as_str().expect("an id"));
        assert_eq!(process.get(&path).await.is(200)["authorization_header"], "********");
        assert_eq!(process.get(&format!("{path}/secret")).await.is(200)["secret"], one["secret"]);
    }
    // What signs tokens was sealed anew as well.
    let mut connection = Connection::open(process.address).await.expect("a connection");
    connection.get_as(token, "/v1/webhooks").await.expect("an answer").is(200);
    assert!(!succeeded(&ask(&home, &process, &["keys", "list"]).await).contains(&id_of(&old)));
    process.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_page_and_no_line_of_the_log_shows_a_secret() {
    let home = Home::new();
    let mut command = home.server();
    command.env("CALLBOARD_LOG_FILTER", "trace");
    let process = Process::start(command).await;
    let made =
        process.post("/v1/webhooks", &webhook("one", "http://127.0.0.1:8/?token=hunter2")).await.is(201);
    let id = made["id"].as_str().expect("an id");
    let client = json!({"name": "Shop", "scopes": ["read:webhooks"]});
    let client = process.post("/v1/clients", &client).await.is(201);
    let event = json!({"id": "e1", "type": "ticket.updated", "subject": {"id": "T-1"}});
    process.post("/v1/events", &event).await.is(202);
    let delivery =
        until("an attempt has failed", async || process.deliveries(id, "waiting").await.pop()).await;
    let delivery = delivery["id"].as_str().expect("an id");
    let unfit = json!({"url": "http://u:hunter2@x.example/", "events": ["*"]});
    let refused = process.post("/v1/webhooks", &unfit).await.is(400);

    let key = std::fs::read_to_string(key_file(&home)).expect("the file of keys");
    let key = key.lines().last().expect("a key");
    let [secret, client_secret] =
        [&made["secret"], &client["client_secret"]].map(|text| text.as_str().expect("a text"));
    let hidden = [key, &key[4..], secret, &secret[6..], HEADER, &HEADER[7..], client_secret, TOKEN];
    let mut pages = vec![refused];
    for path in [
        "/v1/webhooks".to_owned(),
        format!("/v1/webhooks/{id}"),
        format!("/v1/webhooks/{id}/stats"),
        format!("/v1/webhooks/{id}/deliveries"),
        format!("/v1/deliveries/{delivery}"),
        "/v1/events".to_owned(),
        "/v1/jobs".to_owned(),
        "/v1/clients".to_owned(),
        "/v1/tenants".to_owned(),
        "/v1/nodes".to_owned(),
        "/v1/keys".to_owned(),
    ] {
        pages.push(process.get(&path).await.is(200));
    }
    for page in pages {
        let page = page.to_string();
        for text in hidden {
            assert!(!page.contains(text), "{text}: {page}");
        }
    }
    process
        .stop_and(|log| {
            assert!(!log.is_empty());
            for line in log {
                for text in hidden.iter().chain(&["hunter2"]) {
                    assert!(!line.contains(text), "{text}: {line}");
                }
            }
        })
        .await;
}

#[tokio::test]
async fn keys_among_the_settings_are_not_shown() {
    let home = Home::on_sqlite();
    let key = EncryptionKey::from_bytes([1; 32]).to_text();
    let mut command = home.command(&["config", "check"]);
    command.env("CALLBOARD_ENCRYPTION_KEYS", &key);
    let checked = succeeded(&output(command).await);
    assert!(checked.contains("encryption.keys") && checked.contains("********"), "{checked}");
    assert!(!checked.contains(&key), "{checked}");

    for (keys, file, fault) in [
        (
            &key[..20],
            None,
            "encryption.keys (from CALLBOARD_ENCRYPTION_KEYS): must be keys separated by commas",
        ),
        (
            &*key,
            Some("a.key"),
            "encryption.key_file (from CALLBOARD_ENCRYPTION_KEY_FILE): can't be given beside",
        ),
    ] {
        let mut command = home.command(&["config", "check"]);
        command.env("CALLBOARD_ENCRYPTION_KEYS", keys);
        if let Some(file) = file {
            command.env("CALLBOARD_ENCRYPTION_KEY_FILE", file);
        }
        let refused = output(command).await;
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains(fault) && !said.contains(&key[4..20]), "{said}");
    }
}
