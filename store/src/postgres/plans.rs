//! Asks PostgreSQL how it would run the statements that must cost the same at any
//! size, so that a change that makes one of them read a whole table is seen. It is
//! asked before there is anything, when the statistics say that there is nothing,
//! and when they say that there is much: a plan may live long.

use std::fmt::Write as _;

use callboard_testing::TestDatabase;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::sql::Connection;
use super::{attempts, audit, by_hand, chains, claims, sealing, stats};
use super::{delivery_list, echoes, event_list, failed, jobs, missing, overview, stream, timeline, webhooks};
use crate::sealing::{EncryptionKey, Keys};

/// Statements, and what they look rows up by.
const STATEMENTS: &[(&str, &[&str])] = &[
    (audit::OF_TENANT, &["((tenant = $1) AND (key < $2))"]),
    (audit::ABOUT, &["((tenant = $1) AND (target_id = $4) AND (key < $2))"]),
    (timeline::FIRST_AFTER, &["(key > $1)"]),
    (timeline::FIRST_SINCE, &["(key >= (halving_1.low + ((halving_1.high - halving_1.low) / 2)))"]),
    (event_list::ALL, &["((tenant = $1) AND (key >= $2) AND (key < $3))"]),
    (event_list::OF_TYPE, &["((tenant = $1) AND (type = $5) AND (key >= $2) AND (key < $3))"]),
    (event_list::ABOUT, &["((tenant = $1) AND (subject = $5) AND (key >= $2) AND (key < $3))"]),
    (event_list::ABOUT_AND_TYPE, &["((tenant = $1) AND (subject = $5) AND (key >= $2) AND (key < $3))"]),
    (missing::ALL, &["((tenant = $1) AND (key >= $2) AND (key < $3))"]),
    (missing::OF_TYPE, &["((tenant = $1) AND (type = $7) AND (key >= $2) AND (key < $3))"]),
    (missing::ABOUT, &["((tenant = $1) AND (subject = $7) AND (key >= $2) AND (key < $3))"]),
    (missing::ABOUT_AND_TYPE, &["((tenant = $1) AND (subject = $7) AND (key >= $2) AND (key < $3))"]),
    (stream::ALL, &["((tenant = $1) AND (key >= $2) AND (key < $3))"]),
    (stream::HEARD, &["((webhook = $5) AND (delivery >= $6))"]),
    (delivery_list::ALL, &["((webhook = $1) AND (delivery >= $2) AND (delivery < $3))"]),
    (delivery_list::ALL_UPWARDS, &["((webhook = $1) AND (delivery >= $2) AND (delivery < $3))"]),
    (delivery_list::QUEUED, &["((webhook = $1) AND (delivery >= $2) AND (delivery < $3))"]),
    (delivery_list::FAILED, &["((webhook = $1) AND (delivery >= $2) AND (delivery < $3))"]),
    (
        super::deliveries::SUMMARIES,
        &["(delivery = wanted.delivery)", "(key = COALESCE(pending.event, attempts.event))"],
    ),
    (
        super::deliveries::STANCES,
        &["(delivery = wanted.delivery)", "(key = COALESCE(pending.event, attempts.event))"],
    ),
    (super::deliveries::LOG, &["(delivery = $1)"]),
    (claims::DUE, &["((webhook = lane.webhook) AND (due_at <= $3))", "(key = due.event)"]),
    (claims::NEXT_DUE, &["(webhook = lane.webhook)"]),
    (claims::WAITING, &["(webhook = lanes.webhook)"]),
    (claims::END_LEASES, &["(delivery = leased.delivery)", "(key = pending.event)"]),
    (attempts::CHAINS, &["(delivery = ANY ($1))"]),
    (attempts::MOVE_ON, &["(delivery = given_1.delivery)", "(delivery = given_2.delivery)"]),
    (attempts::LATE, &["((delivery = given.delivery) AND (number = given.number))", "(key = given.event)"]),
    (chains::OCCUPIED, &["(chain = asked.chain)"]),
    (
        chains::FIRST,
        &["((chain = asked.chain) AND (due_at = $2))", "((chain = asked.chain) AND (due_at < $2))"],
    ),
    (by_hand::ORPHANS, &["(webhook = deleted.webhook)", "(delivery = ANY ($2))"]),
    (by_hand::ORPHANED_LANES, &["(key = lanes.webhook)"]),
    (by_hand::REVIVE, &["((delivery = ended.delivery) AND (number > ended.number))"]),
    (stats::QUEUED, &["(webhook = $1)"]),
    (overview::LOOKED_AT, &["((tenant = $1) AND (key < $2))"]),
    (overview::COUNTS, &["(tenant = $1)"]),
    (overview::BUCKETS, &["((webhook = wanted.webhook) AND (bucket >= $2))"]),
    (overview::QUEUED_OF_EACH, &["(webhook = wanted.webhook)"]),
    (overview::LAST_OF_EACH, &["(webhook = wanted.webhook)", "(delivery = pending.delivery)"]),
    (overview::BUCKETS_OF_TENANT, &["((tenant = $1) AND (bucket >= $2))"]),
    (overview::WAITING_IN_ALL, &["(webhook > 0)"]),
    (overview::QUEUED_OF_TENANT, &["(tenant = $1)", "(webhook = webhooks.key)"]),
    (webhooks::OF_KEYS, &["(key = wanted.webhook)"]),
    (echoes::UNHEARD, &["(key = wanted.event)", "(origin = events.key)"]),
    (echoes::ADD, &["(key = missed.event)", "(chain = added.chain)"]),
    (echoes::DELIVERIES, &["((origin = $1) AND (delivery >= $2))"]),
    (jobs::FAILED, &["(webhook = $1)"]),
    (jobs::NEXT_FAILED, &["((webhook = $1) AND (delivery >= $2) AND (delivery < $3))"]),
    (failed::WEBHOOKS, &["(tenant = $1)"]),
    (failed::COUNT, &["((webhook = asked.webhook) AND (delivery < asked.before))"]),
    (failed::ALL, &["(webhook = $1)", "(key = $1)"]),
    (failed::ALIKE, &["(webhook = $1)", "(key = $1)"]),
    (failed::NEWEST, &["((webhook = asked.webhook) AND (delivery < $2))"]),
    (failed::ROWS, &["((webhook = asked.webhook) AND (delivery < $2))"]),
    (by_hand::HOLD, &["((delivery = ended.delivery) AND (number = ended.number))"]),
    (by_hand::LEAVE_FAILED, &["(delivery = ANY ($1))"]),
    (webhooks::COUNT_IN, &["((tenant = $1) AND (dialect = $2))"]),
    (webhooks::OLDEST_IN, &["((tenant = $1) AND (dialect = $2))", "(webhook = webhooks.key)"]),
    (webhooks::NEWEST_IN, &["((tenant = $1) AND (dialect = $2))", "(webhook = webhooks.key)"]),
];

/// What sorts few rows, because only so many were read.
const SORTS: &[&str] = &[
    claims::DUE,
    stream::HEARD,
    delivery_list::ALL,
    delivery_list::ALL_UPWARDS,
    super::deliveries::SUMMARIES,
    super::deliveries::STANCES,
    super::deliveries::LOG,
    webhooks::OLDEST_IN,
    webhooks::NEWEST_IN,
    webhooks::OF_KEYS,
    overview::LAST_OF_EACH,
    echoes::UNHEARD,
    echoes::ADD,
    failed::COUNT,
];

async fn plan(conn: &Connection, sql: &str) -> String {
    let parameters = (1..100).take_while(|number| sql.contains(&format!("${number}"))).count();
    let values = vec!["NULL"; parameters].join(", ");
    let values = if values.is_empty() { String::new() } else { format!("({values})") };
    conn.batch_execute(&format!("PREPARE asked AS {sql}")).await.expect(sql);
    let rows = conn.query(&format!("EXPLAIN (COSTS OFF) EXECUTE asked{values}"), &[]).await.expect(sql);
    conn.batch_execute("DEALLOCATE asked").await.expect("no statement");
    rows.iter().fold(String::new(), |mut plan, row| {
        let _ = writeln!(plan, "{}", row.get::<_, &str>(0));
        plan
    })
}

async fn check(conn: &Connection, when: &str) {
    for (sql, conditions) in STATEMENTS {
        let plan = plan(conn, sql).await;
        for condition in *conditions {
            let used = |line: &str| line.contains("Index Cond: ") && line.contains(condition);
            assert!(plan.lines().any(used), "{when}: {sql}\n{plan}");
        }
        // Tables that are small for ever are those without an index to use.
        assert!(!plan.contains("Seq Scan on"), "{when}: {sql}\n{plan}");
        assert!(SORTS.contains(sql) || !plan.contains("Sort"), "{when}: {sql}\n{plan}");
    }
}

/// The few rows of the deployment are read whole, and what is found is few as well.
async fn check_ids_of_keys(conn: &Connection, when: &str) {
    let plan = plan(conn, sealing::IDS).await;
    for table in ["webhooks", "secrets"] {
        for condition in [r"> '\x'::bytea".to_owned(), format!("> of_{table}_1.id)")] {
            let named = |line: &str| line.contains("Index Cond: ") && line.contains(&condition);
            assert!(plan.lines().any(named), "{when}: {condition}\n{plan}");
        }
        assert!(!plan.contains(&format!("Seq Scan on {table}")), "{when}: {plan}");
        assert!(plan.contains(&format!("using {table}_sealed on {table}")), "{when}: {plan}");
    }
}

/// Much for few: of two tenants, two webhooks and two types.
const FILLED: &str = "
    INSERT INTO events (key, tenant, accepted_at, first_delivery, id, type, subject, webhooks, body)
    SELECT key, key % 2, key, key, key, key % 2, key % 2, '\\x01000000', 'x' FROM generate_series(1, 3900) AS key;
    INSERT INTO attempts (delivery, event, webhook, started_at, duration_us, number, state)
    SELECT key, key, key % 2, 1, 1, 1, 2 + key % 2 FROM generate_series(1, 3900) AS key;
    INSERT INTO pending (delivery, event, webhook, due_at, attempts, tries, chain)
    SELECT key, key, key % 2, 1, 0, 0, key % 2 FROM generate_series(1, 3900) AS key;
    INSERT INTO late_deliveries (origin, webhook, event, delivery)
    SELECT key, 1, key + 1000, key + 1000 FROM generate_series(1, 1000) AS key;
    ANALYZE";

#[tokio::test]
async fn statements_use_their_index_whatever_the_statistics_say() {
    let database = TestDatabase::postgres();
    let options =
        super::Options { events_a_partition: 2_000, deliveries_a_partition: 2_000, ..Default::default() };
    let key = EncryptionKey::from_bytes(callboard_testing::ENCRYPTION_KEY);
    let keys = Keys::new(&[key], Box::new(StdRng::seed_from_u64(0)));
    let store = super::open(database.url(), &keys, options).await.expect("a database");
    let conn = store.pool.get().await.expect("a connection");
    // It leaves out what holds nothing for these values, which are none.
    conn.batch_execute("SET enable_partition_pruning = off").await.expect("a setting");
    check(&conn, "nothing is known").await;
    check_ids_of_keys(&conn, "nothing is known").await;
    conn.batch_execute("ANALYZE").await.expect("statistics");
    check(&conn, "known to be empty").await;
    check_ids_of_keys(&conn, "known to be empty").await;
    conn.batch_execute(FILLED).await.expect("rows");
    check(&conn, "known to be filled").await;
    check_ids_of_keys(&conn, "known to be filled").await;
}
