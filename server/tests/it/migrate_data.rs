//! A database of SQLite moves to PostgreSQL with everything in it, however often
//! that is interrupted, and a server goes on there.

#![expect(clippy::expect_used, clippy::panic, reason = "a test that can't go on has failed")]

use std::path::Path;
use std::process::{Command, Output, Stdio};

use callboard_testing::TestDatabase;
use rusqlite::Connection;
use serde_json::{Value, json};

use crate::harness::{Caller, Harness, event, text};
use crate::process::text as text_of;
use crate::receiver::{Receiver, Reply};

/// Events that nobody hears, so that moving takes a while.
const MANY: usize = 8_000;

/// Tables of SQLite, each of which has to have rows before it is moved.
const TABLES: [&str; 14] = [
    "deployment",
    "marks",
    "tenants",
    "clients",
    "webhooks",
    "secrets",
    "events",
    "pending",
    "attempts",
    "stats",
    "jobs",
    "quantities",
    "operator_sessions",
    "sign_in_links",
];

fn callboard(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_callboard"));
    command.args(arguments).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn migrate(from: &str, to: &str, more: &[&str]) -> Command {
    callboard(&[&["migrate-data", "--from", from, "--to", to], more].concat())
}

fn run(mut command: Command) -> Output {
    command.output().expect("the command runs")
}

/// What a run says that has to fail.
fn complaint(command: Command) -> String {
    let output = run(command);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    text_of(&output.stderr)
}

fn path_of(made: &Value) -> String {
    format!("/v1/webhooks/{}", text(&made["id"]))
}

/// What a server has to say about, and who asks.
struct Known {
    opera: Caller,
    client: Caller,
    webhooks: Vec<Value>,
    deliveries: Vec<String>,
}

/// Lets something of every kind happen.
fn fill(house: &Harness, receiver: &Receiver) -> Known {
    let operator = house.operator();
    let opera = json!({"id": "opera", "name": "The Opera", "retention_seconds": 8_640_000});
    operator.post("/v1/tenants", &opera).is(201);
    let opera = operator.tenant("opera");
    let client = house.client("opera", &["read:webhooks", "write:webhooks", "read:events", "write:events"]);
    opera.make_client(&["read:events"]);
    for (id, quantity) in [("stock-1", 500), ("stock-2", 480)] {
        let event = json!({"id": id, "type": "ticket.updated", "subject": {"id": "T-1"}, "data": {"quantity": quantity}});
        opera.post("/v1/events", &event).is(202);
    }
    let hears = |events: &str, more: Value| {
        let mut settings = json!({"events": [events], "retry": {"schedule_seconds": [600, 600]}});
        settings.as_object_mut().expect("an object").extend(more.as_object().expect("one").clone());
        settings
    };
    let url = receiver.url("/");
    let rotated = opera.make_webhook(&url, &hears("sale.*", json!({})));
    let paused = opera.make_webhook(&url, &hears("order.*", json!({})));
    opera.act(&format!("{}/pause", path_of(&paused))).is(200);
    let failing = opera.make_webhook(&url, &hears("event.*", json!({"ordering": "subject"})));
    let given_up = opera.make_webhook(&url, &hears("product.*", json!({"retry": {"schedule_seconds": []}})));
    let deleted = opera.make_webhook(&url, &hears("ticket.deleted", json!({})));
    let viagogo = opera.make_webhook(&url, &json!({"dialect": "viagogo", "topics": ["Sales"]}));
    let openticket = json!({"dialect": "openticket", "resource": "ticket", "trigger": "delete"});
    let openticket = opera.make_webhook(&url, &openticket);
    opera.act(&format!("{}/secret?overlap_seconds=3600", path_of(&rotated))).is(201);

    let mut deliveries = Vec::new();
    let mut publish = |type_name: &str, subject: &str, state: &str| {
        let published = opera.post("/v1/events", &event(type_name, subject)).is(202);
        let of = format!("/v1/events/{}/deliveries", text(&published["id"]));
        let id = text(&opera.get(&of).is(200)["items"][0]["id"]).to_owned();
        house.delivery(&opera, &id, state);
        deliveries.push(id);
    };
    publish("ticket.deleted", "1", "delivered");
    opera.delete(&path_of(&deleted)).is(204);
    publish("order.paid", "1", "pending");
    publish("order.paid", "2", "pending");
    receiver.otherwise(Reply::status(500));
    publish("event.updated", "7", "waiting");
    publish("event.updated", "7", "pending");
    publish("product.updated", "1", "failed");
    receiver.otherwise(Reply::status(200));
    let replay = json!({"since": "2000-01-01T00:00:00Z", "missing": true, "subject": "T-1"});
    let late = opera.make_webhook(&url, &hears("ticket.*", json!({})));
    let job = opera.post(&format!("{}/replay", path_of(&late)), &replay).is(202);
    let job = format!("/v1/jobs/{}", text(&job["id"]));
    house.until("the job ends", || (opera.get(&job).is(200)["state"] == "finished").then_some(()));
    house.drained(&opera, text(&late["id"]));
    for many in (0..MANY).collect::<Vec<_>>().chunks(1_000) {
        let event = |number: &usize| json!({"id": format!("many-{number}"), "type": "sale.updated", "subject": {"id": "S"}});
        operator.post("/v1/events", &many.iter().map(event).collect()).is(202);
    }
    Known {
        opera,
        client,
        webhooks: vec![rotated, paused, failing, given_up, viagogo, openticket, late],
        deliveries,
    }
}

/// Everything that the program tells about what is known.
fn told(house: &Harness, known: &Known) -> Vec<(String, Value)> {
    let opera = known.opera.clone().at(house.address);
    let mut paths: Vec<String> = [
        "tenants",
        "clients",
        "webhooks",
        "jobs",
        "failed?limit=100",
        "failed/groups",
        "events?limit=100",
        "events/stock-2",
        "events?type=ticket.updated",
    ]
    .iter()
    .map(|path| format!("/v1/{path}"))
    .collect();
    for path in known.webhooks.iter().map(path_of) {
        paths.extend(["", "/secret", "/stats", "/deliveries?limit=100"].map(|rest| format!("{path}{rest}")));
    }
    paths.extend(known.deliveries.iter().map(|id| format!("/v1/deliveries/{id}")));
    let told = paths.into_iter().map(|path| {
        let answer = opera.get(&path).is(200);
        (path, answer)
    });
    told.collect()
}

/// Leaves what a killed process leaves, and what only time brings.
fn touch(database: &str) {
    let conn = Connection::open(database.trim_start_matches("sqlite:")).expect("the database");
    let touched = [
        "UPDATE pending SET due_at = 9223372036854775807 WHERE delivery = (SELECT min(delivery) FROM pending)",
        "INSERT INTO retention (seconds, next_event) VALUES (8640000, 2)",
        // Half done: the deliveries that it passed are not looked at again.
        "INSERT INTO jobs (tenant, webhook, kind, state, after_key, last_key, total, done, created_at, ended_at)
         SELECT tenant, key, 'retry_failed', 'stopped', 7 * 1024 + 3, 9 * 1024 + 1, 2, 1, 5, 6 FROM webhooks LIMIT 1",
        "INSERT INTO jobs (tenant, webhook, kind, state, after_key, last_key, total, done, created_at, ended_at)
         SELECT tenant, key, 'discard_failed/status/503', 'stopped', 3 * 1024 + 1, 4 * 1024 + 2, 2, 1, 5, 7
         FROM webhooks LIMIT 1",
        "INSERT INTO operator_sessions (digest, created_at, expires_at) VALUES (x'01', 5, 1000)",
        "INSERT INTO sign_in_links (token_digest, expires_at) VALUES (x'02', 1001)",
        "UPDATE clients SET last_used_at = 1700000000000000 WHERE key = (SELECT max(key) FROM clients)",
        "INSERT OR IGNORE INTO marks (name, value) VALUES ('default_retention', 604800)",
    ];
    for sql in touched {
        let changed = conn.execute(sql, []).expect(sql);
        assert!(changed == 1 || sql.contains("OR IGNORE"), "{sql}");
    }
    for table in TABLES {
        let rows: i64 =
            conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).expect(table);
        assert!(rows > 0, "{table} is empty");
    }
    for what in [
        "events WHERE origin IS NOT NULL",
        "events WHERE quantity_diff = -20",
        "webhooks WHERE deleted_at > 0",
        "webhooks WHERE nonce IS NOT NULL",
        "secrets WHERE expires_at > 0",
        "pending WHERE due_at = 9223372036854775806",
    ] {
        let rows: i64 =
            conn.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)).expect(what);
        assert!(rows > 0, "{what}");
    }
}

/// Kills a run as soon as it has moved so many rows. Returns how many those are then.
fn kill_behind(from: &str, target: &TestDatabase, rows: i64) -> i64 {
    let moved =
        || target.try_number("SELECT coalesce(sum(rows), 0)::bigint FROM transfer_progress").unwrap_or(0);
    let mut child = migrate(from, target.url(), &["--batch-rows", "20"]).spawn().expect("it starts");
    while moved() < rows {
        assert!(child.try_wait().expect("a child").is_none(), "it ended before it was killed");
    }
    child.kill().expect("it could be killed");
    child.wait().expect("it ends");
    moved()
}

fn summary(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn everything_moves_though_it_is_killed_twice_and_a_server_goes_on() {
    let mut house = Harness::at_rest();
    let receiver = house.receiver();
    let known = fill(&house, &receiver);
    let source = house.database().to_owned();
    let target = TestDatabase::postgres();
    let used = complaint(migrate(&source, target.url(), &[]));
    assert!(used.contains("in use by another process"), "{used}");
    house.pause();
    touch(&source);
    // What is leased is due again when the program starts, here as there.
    let kept = std::fs::read(source.trim_start_matches("sqlite:")).expect("the file");

    let first = kill_behind(&source, &target, 300);
    let refusal = house.refusal(target.url());
    assert!(refusal.contains("migrate-data"), "{refusal}");
    let second = kill_behind(&source, &target, first + 1_000);
    assert!(
        second < i64::try_from(MANY * 2).expect("a number"),
        "{second} rows of more than {MANY} events and their ids"
    );
    let moved = summary(&run(migrate(&source, target.url(), &["--json"])));
    assert_eq!(moved["moved_before"], second);
    assert!(moved["rows"].as_i64() > Some(second), "{moved}");
    let tables = moved["tables"].as_array().expect("tables");
    assert!(tables.iter().all(|table| text(&table["checksum"]).len() == 64), "{moved}");
    let events = tables.iter().find(|table| table["name"] == "events").expect("events");
    assert!(events["rows"].as_u64() > Some(MANY as u64), "{events}");
    assert_eq!(
        target.number(
            "SELECT after_key * 100 + last_key FROM jobs WHERE kind = 'retry_failed' AND ended_at = 6"
        ),
        709
    );
    assert_eq!(target.number("SELECT after_key * 100 + last_key FROM jobs WHERE ended_at = 7"), 304);
    assert_eq!(target.number("SELECT expires_at FROM operator_sessions WHERE digest = '\\x01'"), 1_000);
    assert_eq!(target.number("SELECT expires_at FROM sign_in_links WHERE token_digest = '\\x02'"), 1_001);
    let again = run(migrate(&source, target.url(), &[]));
    assert!(text_of(&again.stdout).contains("nothing to do"), "{again:?}");
    assert!(
        kept == std::fs::read(source.trim_start_matches("sqlite:")).expect("the file"),
        "the source was changed"
    );

    house.go_on_with(&source);
    let before = told(&house, &known);
    house.pause();
    house.go_on_with(target.url());
    for ((path, before), (_, after)) in before.into_iter().zip(told(&house, &known)) {
        assert_eq!(before, after, "{path}");
    }
    go_on(&house, &receiver, &known);
}

/// The work of before goes on, and new work finds its place behind it.
fn go_on(house: &Harness, receiver: &Receiver, known: &Known) {
    let client = known.client.clone().at(house.address);
    let [_, paused, ..] = known.webhooks.as_slice() else { panic!("webhooks") };
    while !receiver.unexpected().is_empty() {}
    client.act(&format!("{}/resume", path_of(paused))).is(200);
    for delivery in &known.deliveries[1..3] {
        house.delivery(&client, delivery, "delivered");
        assert_eq!(receiver.next().json()["type"], "order.paid");
    }
    // The second waits behind the first, which is about the same.
    let waiting = client.get(&format!("/v1/deliveries/{}", known.deliveries[3])).is(200);
    house.advance_to_next_attempt(&client, &waiting);
    for delivery in &known.deliveries[3..5] {
        house.delivery(&client, delivery, "delivered");
    }
    // What was published before is known, and nothing is sent again for it.
    let event = json!({"id": "stock-2", "type": "ticket.updated", "subject": {"id": "T-1"}, "data": {"quantity": 480}});
    assert_eq!(client.post("/v1/events", &event).is(202)["duplicate"], true);
    let event = json!({"id": "stock-2", "type": "ticket.updated", "subject": {"id": "T-2"}});
    client.post("/v1/events", &event).is(409);
    let newest = client
        .post("/v1/events", &json!({"id": "newest", "type": "order.paid", "subject": {"id": "3"}}))
        .is(202);
    assert_eq!(newest["deliveries"], 1);
    assert_eq!(client.get("/v1/events?limit=1").is(200)["items"][0]["id"], "newest");
    let delivery = client.get("/v1/events/newest/deliveries").is(200)["items"][0]["id"].clone();
    let number = |id: &str| id.trim_start_matches("dlv_").parse::<u64>().expect("a number");
    assert!(known.deliveries.iter().all(|before| number(before) < number(text(&delivery))), "{delivery}");
    let made = client.make_webhook(&receiver.url("/"), &json!({"events": ["sale.*"]}));
    assert_eq!(client.get("/v1/webhooks").is(200)["items"][0]["id"], made["id"]);
}

#[test]
fn a_target_in_use_or_with_other_data_is_left_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let source = format!("sqlite:{}", folder.path().join("callboard.db").display());
    let mut house = Harness::start();
    house.operator().make_client(&["read:events"]);
    let sqlite = house.database().to_owned();
    house.pause();
    std::fs::copy(Path::new(sqlite.trim_start_matches("sqlite:")), folder.path().join("callboard.db"))
        .expect("a copy");
    let target = TestDatabase::postgres();
    house.go_on_with(target.url());
    let said = complaint(migrate(&source, target.url(), &[]));
    assert!(said.contains("in use by the node"), "{said}");
    house.restart();
    house.pause();
    let said = complaint(migrate(&source, target.url(), &[]));
    assert!(said.contains("holds other data already, in deployment"), "{said}");
    // Servers are not kept out by what was refused.
    house.go_on_with(target.url());
    for (from, to, part) in [
        ("postgres://h/d", target.url(), "--from must be"),
        (source.as_str(), source.as_str(), "--to must be"),
        ("sqlite:missing.db", target.url(), "no database at missing.db"),
        (
            source.as_str(),
            "postgres://callboard:hunter2@127.0.0.1:1/callboard",
            "PostgreSQL at 127.0.0.1:1 can't be used",
        ),
    ] {
        let said = complaint(migrate(from, to, &[]));
        assert!(said.contains(part) && !said.contains("hunter2"), "{said}");
    }
    assert!(!Path::new("missing.db").exists());
}

#[test]
fn what_differs_is_named() {
    let mut house = Harness::start();
    house.operator().make_client(&["read:events"]);
    house.operator().make_webhook("http://127.0.0.1:8/", &json!({"events": ["order.*"]}));
    let source = house.database().to_owned();
    house.pause();
    let target = TestDatabase::postgres();
    let moved = run(migrate(&source, target.url(), &[]));
    let said = text_of(&moved.stdout);
    assert!(moved.status.success() && said.contains("the same on both sides"), "{moved:?}");
    target.execute("UPDATE transfer_progress SET done = FALSE");
    target.execute("UPDATE clients SET name = name || '!'");
    target.execute("DELETE FROM secrets");
    let said = complaint(migrate(&source, target.url(), &[]));
    assert!(said.contains("clients with the same number of rows"), "{said}");
    assert!(said.contains("secrets with 0 rows instead of 1"), "{said}");
    assert!(house.refusal(target.url()).contains("migrate-data"));
    // Another source can't go on where this one was.
    let conn = Connection::open(source.trim_start_matches("sqlite:")).expect("the database");
    conn.execute("UPDATE deployment SET value = x'00'", []).expect("a change");
    drop(conn);
    let said = complaint(migrate(&source, target.url(), &[]));
    assert!(said.contains("another database is being moved into this one"), "{said}");
}
