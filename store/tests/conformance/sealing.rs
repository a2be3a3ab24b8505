//! What is secret is sealed, opens only where it belongs, and changes its key.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use callboard_domain::signing::Secret;
use callboard_domain::store::{Edited, Page, SealingKey, Store, StoreError, WebhookEdit};
use callboard_domain::webhook::{Confidential, Status, Webhook};
use callboard_store::OpenError;
use callboard_store::sealing::Keys;
use callboard_testing::TestDatabase;
use futures_util::TryStreamExt as _;

use crate::world::{World, at, by, key_id, keys, rng, secret, settings};

const ALL: Page = Page { limit: 1_000, after: None };

/// Stands in the settings of each webhook of these cases.
const SESAME: &str = "Bearer sesame";

/// What the deployment keeps to itself in these cases.
const TOKEN_KEY: &[u8] = b"the key of the tokens";

/// How secrets look in plain.
fn plain(secrets: &[&Secret]) -> Vec<Vec<u8>> {
    let mut plain = vec![SESAME.into(), b"sesame".to_vec(), TOKEN_KEY.to_vec()];
    for secret in secrets {
        let text = secret.to_text();
        let encoded = text.strip_prefix("whsec_").expect("a text");
        plain.push(BASE64.decode(encoded).expect("base64"));
        plain.push(encoded.into());
    }
    plain
}

/// Everything that the database holds: the bytes of its files, or of its tables.
async fn raw(world: &World) -> Vec<u8> {
    let Some(path) = world.url().strip_prefix("sqlite:") else { return copied(world.url()).await };
    let read = |suffix: &str| std::fs::read(format!("{path}{suffix}")).unwrap_or_default();
    let mut all = read("");
    all.extend(read("-wal"));
    all
}

async fn copied(url: &str) -> Vec<u8> {
    let (client, connection) =
        tokio_postgres::connect(url, tokio_postgres::NoTls).await.expect("a connection");
    tokio::spawn(connection);
    let tables = "SELECT oid::regclass::text FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p')";
    let mut all = Vec::new();
    for table in client.query(tables, &[]).await.expect("the tables") {
        let table: String = table.get(0);
        let copy = client.copy_out(&format!("COPY (SELECT * FROM {table}) TO STDOUT (FORMAT binary)")).await;
        let mut copy = std::pin::pin!(copy.expect("a copy"));
        while let Some(piece) = copy.try_next().await.expect("a piece") {
            all.extend_from_slice(&piece);
        }
    }
    all
}

fn holds(all: &[u8], text: &[u8]) -> bool {
    all.windows(text.len()).any(|window| window == text)
}

/// The keys, as the database tells them.
async fn known(store: &dyn Store) -> Vec<(String, bool, bool)> {
    let known = |key: SealingKey| (key.id, key.seals, key.rows > 0);
    store.sealing_keys().await.expect("the keys").into_iter().map(known).collect()
}

async fn found(world: &World, webhook: &Webhook) -> Result<Option<Webhook>, StoreError> {
    world.store.webhook(webhook.tenant, webhook.id).await
}

pub(crate) async fn what_is_sealed_comes_back_and_stands_nowhere_in_plain(world: World) {
    let tenant = world.tenant("acme").await;
    let (first, second) = (world.webhook(tenant).await, world.webhook(tenant).await);
    let newer = secret();
    let rotated = world.store.rotate_secret(tenant, first.id, newer.clone(), at(9), by(1)).await;
    let rotated = rotated.expect("no error").expect("the webhook");
    let edit = WebhookEdit { settings: settings(), status: Status::Paused, secret: Some(secret()) };
    let edited = world.store.update_webhook(tenant, second.id, 1, edit.clone(), by(2)).await;
    assert!(matches!(edited, Ok(Some(Edited::Done(_)))));
    world.store.deployment_value("token_key", TOKEN_KEY.to_vec()).await.expect("stored");

    assert_eq!(found(&world, &first).await, Ok(Some(rotated.clone())));
    assert_eq!(rotated.settings.authorization_header, Some(Confidential::new(SESAME.to_owned())));
    assert_eq!(rotated.secrets.len(), 2);
    let secrets = [
        &first.secrets[0].secret,
        &second.secrets[0].secret,
        &newer,
        edit.secret.as_ref().expect("a secret"),
    ];
    let all = raw(&world).await;
    assert!(holds(&all, b"https://example.com/hook"), "what is no secret is there to be found");
    for text in plain(&secrets) {
        assert!(!holds(&all, &text), "{:?}", String::from_utf8_lossy(&text));
    }
    assert_eq!(known(&*world.store).await, [(key_id(7), true, true)]);
}

pub(crate) async fn what_was_tampered_with_does_not_open(world: World) {
    let tenant = world.tenant("acme").await;
    let (first, second) = (world.webhook(tenant).await, world.webhook(tenant).await);
    let [one, other] = [first.key.0, second.key.0];
    let says = async |statement: String, place: &str| {
        let (webhooks, secrets) = ("CREATE TABLE kept_w AS SELECT", "CREATE TABLE kept_s AS SELECT");
        world.execute(&format!("{webhooks} key, sealed FROM webhooks; {secrets} key, sealed FROM secrets"));
        world.execute(&statement);
        let text = match found(&world, &first).await {
            Err(StoreError::Corrupt(text)) => text,
            other => panic!("{statement}: {other:?}"),
        };
        assert!(text.contains(place) && text.contains(&first.id.to_string()), "{statement}: {text}");
        assert!(!text.contains("sesame") && !text.contains("whsec"), "{text}");
        assert!(found(&world, &second).await.is_ok(), "the other one is as it was");
        for (table, kept) in [("webhooks", "kept_w"), ("secrets", "kept_s")] {
            world.execute(&format!(
                "UPDATE {table} SET sealed = (SELECT sealed FROM {kept} WHERE {kept}.key = {table}.key);
                 DROP TABLE {kept}"
            ));
        }
        assert_eq!(found(&world, &first).await, Ok(Some(first.clone())));
    };
    for table in ["webhooks", "secrets"] {
        let row = if table == "webhooks" { "key" } else { "webhook" };
        let place = if table == "webhooks" { "the settings of webhook" } else { "signing secret" };
        let moved = format!(
            "UPDATE {table} SET sealed = (SELECT sealed FROM {table} WHERE {row} = {other}) WHERE {row} = {one}"
        );
        says(moved, place).await;
        for change in ["substr(sealed, 1, length(sealed) - 1)", "substr(sealed, 2)", "substr(sealed, 1, 20)"]
        {
            says(format!("UPDATE {table} SET sealed = {change} WHERE {row} = {one}"), place).await;
        }
    }
    // From one column to another.
    let across = format!(
        "UPDATE webhooks SET sealed = (SELECT sealed FROM secrets WHERE webhook = {one}) WHERE key = {one}"
    );
    says(across, "the settings of webhook").await;
}

pub(crate) async fn a_missing_key_is_named_and_nothing_is_changed(mut world: World) {
    let tenant = world.tenant("acme").await;
    let webhook = world.webhook(tenant).await;
    let refused = world.refusal(keys(&[8])).await;
    assert!(matches!(&refused, OpenError::MissingKey { missing } if *missing == key_id(7)), "{refused:?}");
    let text = refused.to_string();
    assert!(text.contains(&key_id(7)) && text.contains("encryption.keys"), "{text}");
    world.restart_with(&keys(&[7])).await;
    assert_eq!(found(&world, &webhook).await, Ok(Some(webhook.clone())));
    assert_eq!(known(&*world.store).await, [(key_id(7), true, true)]);

    // One that is left of a rotation which did not end is asked for as well.
    world.restart_with(&keys(&[8, 7])).await;
    let newer = world.webhook(tenant).await;
    assert_eq!(known(&*world.store).await, [(key_id(8), true, true), (key_id(7), false, true)]);
    for (given, missing) in [(7, 8), (8, 7)] {
        let refused = world.refusal(keys(&[given])).await.to_string();
        assert!(refused.contains(&key_id(missing)) && !refused.contains(&key_id(given)), "{refused}");
    }
    world.restart_with(&keys(&[7, 8])).await;
    assert_eq!(found(&world, &newer).await, Ok(Some(newer)));
}

pub(crate) async fn the_first_to_start_decides_on_the_key(world: World) {
    // Nothing was stored but the value by which the key is known.
    assert_eq!(known(&*world.store).await, [(key_id(7), true, true)]);
    let refused = world.refusal(keys(&[8])).await;
    assert!(matches!(refused, OpenError::MissingKey { .. }), "{refused:?}");
    if world.url().starts_with("postgres") {
        let fresh = TestDatabase::postgres();
        let open = |byte| callboard_store::open(fresh.url(), keys(&[byte]));
        let (one, other) = tokio::join!(open(1), open(2));
        assert!(one.is_ok() != other.is_ok(), "{:?} {:?}", one.is_ok(), other.is_ok());
        let refused = one.as_ref().err().or(other.as_ref().err()).expect("a refusal");
        assert!(matches!(refused, OpenError::MissingKey { .. }), "{refused:?}");
        for store in [one, other].into_iter().flatten() {
            store.close().await;
        }
    }
}

pub(crate) async fn everything_is_sealed_anew_while_it_is_edited(mut world: World) {
    let tenant = world.tenant("acme").await;
    let mut webhooks = Vec::new();
    for _ in 0..30 {
        webhooks.push(world.webhook(tenant).await);
    }
    world.store.deployment_value("token_key", TOKEN_KEY.to_vec()).await.expect("stored");
    world.restart_with(&keys(&[8, 7])).await;
    let store = Arc::clone(&world.store);
    let edited = webhooks.clone();
    let edits = tokio::spawn(async move {
        for (number, webhook) in edited.iter().enumerate().rev() {
            let mut settings = settings();
            settings.authorization_header = Some(Confidential::new(format!("Bearer {number}")));
            let edit = WebhookEdit { settings, status: Status::Active, secret: None };
            let done = store.update_webhook(tenant, webhook.id, 1, edit, by(3)).await;
            assert!(matches!(done, Ok(Some(Edited::Done(_)))));
            store.rotate_secret(tenant, webhook.id, secret(), at(9), by(4)).await.expect("no error");
        }
    });
    let mut steps = 0;
    loop {
        let ended = edits.is_finished();
        let cleared = world.store.seal_anew(7).await.expect("a step");
        assert!(cleared.rows <= 7);
        steps += 1;
        let left = known(&*world.store).await.iter().any(|(id, _, rows)| *id == key_id(7) && *rows);
        if ended && !left {
            break;
        }
        tokio::task::yield_now().await;
    }
    edits.await.expect("the edits end");
    assert!(steps > 3, "{steps}");
    assert_eq!(known(&*world.store).await, [(key_id(8), true, true), (key_id(7), false, false)]);
    assert_eq!(world.store.seal_anew(7).await.expect("a step").rows, 0);

    world.restart_with(&keys(&[8])).await;
    let listed = world.store.list_webhooks(tenant, ALL).await.expect("a list").items;
    assert_eq!(listed.len(), 30);
    for (number, webhook) in webhooks.iter().enumerate() {
        let now = found(&world, webhook).await.expect("it opens").expect("the webhook");
        let header = Confidential::new(format!("Bearer {number}"));
        assert_eq!((now.settings.authorization_header, now.secrets.len()), (Some(header), 2));
        assert_eq!(now.secrets[1].secret, webhook.secrets[0].secret);
    }
    let kept = world.store.deployment_value("token_key", Vec::new()).await;
    assert_eq!(kept, Ok((TOKEN_KEY.to_vec(), false)));
}

pub(crate) async fn a_new_key_is_kept_before_anything_is_sealed(world: World) {
    let is_sqlite = world.url().starts_with("sqlite");
    let database = if is_sqlite { TestDatabase::sqlite() } else { TestDatabase::postgres() };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("callboard.key");
    let at = |path: &std::path::Path| Keys::from_file(path, Box::new(rng()));

    // Where it can't be kept, nothing is sealed with it.
    let nowhere = at(&folder.path().join("missing/callboard.key")).expect("a new key");
    let refused = callboard_store::open(database.url(), nowhere).await.err().expect("a refusal");
    assert!(matches!(refused, OpenError::KeyFile(_)), "{refused:?}");

    let new = at(&path).expect("a new key");
    assert!(new.is_new() && !path.exists());
    let store = callboard_store::open(database.url(), new).await.expect("a database");
    store.close().await;
    let text = std::fs::read_to_string(&path).expect("the file");
    assert!(text.contains("\ncbk_"), "{text}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).expect("the file").permissions().mode() & 0o777, 0o600);
    }
    let kept = at(&path).expect("the key");
    assert!(!kept.is_new());
    callboard_store::open(database.url(), kept).await.expect("the same database").close().await;

    // Without the file no other one is made: that would hide what is wrong.
    std::fs::rename(&path, folder.path().join("away")).expect("moved away");
    let refused = callboard_store::open(database.url(), at(&path).expect("a new key")).await;
    assert!(matches!(refused.err(), Some(OpenError::MissingKey { .. })));
    assert!(!path.exists());
    std::fs::write(&path, "# Nothing.\n").expect("a file");
    let text = at(&path).expect_err("a refusal").to_string();
    assert!(text.contains("callboard.key must hold at least one key"), "{text}");
}

pub(crate) async fn what_was_left_in_plain_is_sealed(mut world: World) {
    let tenant = world.tenant("acme").await;
    let mut webhooks = Vec::new();
    for _ in 0..40 {
        webhooks.push(world.webhook(tenant).await);
    }
    world.store.deployment_value("token_key", TOKEN_KEY.to_vec()).await.expect("stored");
    world.store.close().await;
    let settings = serde_json::to_string(&settings().revealed()).expect("JSON");
    world.execute(&format!("UPDATE webhooks SET sealed = NULL, settings = '{settings}'"));
    for webhook in &webhooks {
        let (key, text) = (webhook.key.0, webhook.secrets[0].secret.to_text());
        // One that was deleted leaves its text in free space.
        world.execute(&format!(
            "INSERT INTO secrets (webhook, value, created_at) SELECT webhook, '{text}', 1 FROM secrets;
             DELETE FROM secrets WHERE created_at = 1;
             UPDATE secrets SET sealed = NULL, value = '{text}' WHERE webhook = {key}"
        ));
    }
    world.execute("UPDATE deployment SET sealed = NULL WHERE name = 'token_key'");
    let token_key = String::from_utf8_lossy(TOKEN_KEY);
    if world.url().starts_with("sqlite") {
        world.execute(&format!(
            "UPDATE deployment SET value = CAST('{token_key}' AS BLOB) WHERE name = 'token_key';
             UPDATE marks SET value = 1 WHERE name = 'plain_secrets'"
        ));
    } else {
        world.execute(&format!("UPDATE deployment SET value = '{token_key}' WHERE name = 'token_key'"));
    }
    let secrets: Vec<&Secret> = webhooks.iter().map(|webhook| &webhook.secrets[0].secret).collect();
    assert!(holds(&raw(&world).await, SESAME.as_bytes()), "there is something to seal");

    world.restart_with(&keys(&[7])).await;
    for webhook in &webhooks {
        assert_eq!(found(&world, webhook).await, Ok(Some(webhook.clone())));
    }
    let kept = world.store.deployment_value("token_key", Vec::new()).await;
    assert_eq!(kept, Ok((TOKEN_KEY.to_vec(), false)));
    let all = raw(&world).await;
    for text in plain(&secrets).into_iter().filter(|text| text.len() > 6) {
        assert!(!holds(&all, &text), "{:?}", String::from_utf8_lossy(&text));
    }
}
