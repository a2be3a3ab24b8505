//! Asks SQLite how it would run the statements that must cost the same at any
//! size, so that a change that makes one of them read a whole table is seen.

use rusqlite::Connection;

use super::{audit, by_hand, claims, delivery_list, failed, jobs, log_index, migrations, overview, stats};

fn plan(conn: &Connection, sql: &str) -> String {
    let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).expect("a statement");
    let unbound = rusqlite::params_from_iter(vec![None::<i64>; statement.parameter_count()]);
    let steps = statement.query_map(unbound, |row| row.get::<_, String>(3)).expect("a plan");
    steps.collect::<Result<Vec<_>, _>>().expect("a plan").join("\n")
}

#[test]
fn statements_use_their_index_and_sort_nothing() {
    let mut conn = Connection::open_in_memory().expect("a database");
    migrations::migrate(&mut conn).expect("the schema");
    for (sql, step) in [
        (claims::DUE, "SEARCH pending USING INDEX pending_due (webhook=? AND due_at<?)"),
        (claims::NEXT_DUE, "SEARCH pending USING COVERING INDEX pending_due (webhook=?)"),
        (stats::QUEUED, "SEARCH pending USING COVERING INDEX pending_due (webhook=?)"),
        (overview::LOOKED_AT, "SEARCH webhooks USING INDEX webhooks_tenant (tenant=? AND rowid<?)"),
        (overview::COUNTS, "SEARCH webhooks USING INDEX webhooks_tenant (tenant=?)"),
        (overview::BUCKETS, "SEARCH tenant_stats USING PRIMARY KEY (tenant=? AND bucket>?)"),
        (overview::WAITING_IN_ALL, "SCAN pending USING COVERING INDEX pending_due"),
        (overview::QUEUED, "SEARCH pending USING COVERING INDEX pending_due (webhook=?)"),
        (by_hand::ORPHANS, "SEARCH pending USING INDEX pending_due (webhook=?)"),
        (
            delivery_list::FAILED,
            "SEARCH attempts USING COVERING INDEX attempts_failed (webhook=? AND key>? AND key<?)",
        ),
        (delivery_list::QUEUED, "SEARCH pending USING COVERING INDEX pending_due (webhook=?)"),
        (jobs::FAILED, "SEARCH attempts USING COVERING INDEX attempts_failed (webhook=?)"),
        (
            jobs::NEXT_FAILED,
            "SEARCH attempts USING COVERING INDEX attempts_failed (webhook=? AND key>? AND key<?)",
        ),
        (failed::NEWEST, "SEARCH attempts USING COVERING INDEX attempts_failed (webhook=? AND key<?)"),
        (failed::ROWS, "SEARCH attempts USING COVERING INDEX attempts_failed (webhook=? AND key<?)"),
        (failed::ALIKE, "SEARCH attempts USING COVERING INDEX attempts_failed (webhook=?)"),
        (failed::WEBHOOKS, "SEARCH webhooks USING COVERING INDEX webhooks_dialect (tenant=?)"),
        (
            log_index::DELIVERIES,
            "SEARCH delivery_log USING PRIMARY KEY (webhook=? AND delivery>? AND delivery<?)",
        ),
        (
            log_index::DELIVERIES_UPWARDS,
            "SEARCH delivery_log USING PRIMARY KEY (webhook=? AND delivery>? AND delivery<?)",
        ),
        (
            log_index::EVENTS,
            "SEARCH event_log USING PRIMARY KEY (span=? AND tenant=? AND facet=? AND event>? AND event<?)",
        ),
        (
            log_index::EVENTS_UPWARDS,
            "SEARCH event_log USING PRIMARY KEY (span=? AND tenant=? AND facet=? AND event>? AND event<?)",
        ),
        (super::echoes::HEARD, "SEARCH echo USING COVERING INDEX events_late (origin=? AND webhooks=?)"),
        (
            super::echoes::DELIVERIES,
            "SEARCH events USING COVERING INDEX events_echoes (origin=? AND first_delivery>?)",
        ),
        (super::events::BY_ID, "SEARCH echo USING COVERING INDEX events_"),
        (
            super::webhooks::COUNT_IN,
            "SEARCH webhooks USING COVERING INDEX webhooks_dialect (tenant=? AND dialect=? AND deleted_at=?)",
        ),
        (
            super::webhooks::OLDEST_IN,
            "SEARCH webhooks USING INDEX webhooks_dialect (tenant=? AND dialect=? AND deleted_at=?)",
        ),
        (
            super::webhooks::NEWEST_IN,
            "SEARCH webhooks USING INDEX webhooks_dialect (tenant=? AND dialect=? AND deleted_at=?)",
        ),
        (super::chains::WAITS, "SEARCH pending USING COVERING INDEX pending_chain (chain=?)"),
        (super::chains::MOVES, "SEARCH pending USING COVERING INDEX pending_chain (chain=? AND due_at<?)"),
        (super::chains::FIRST, "SEARCH pending USING INDEX pending_chain (chain=? AND due_at=?)"),
        (
            super::chains::NEWER,
            "SEARCH pending USING COVERING INDEX pending_collapsing (chain=? AND delivery>?)",
        ),
        (super::events::BY_ID, "SEARCH events USING INDEX events_id (id_key=?)"),
        (super::timeline::FROM, "SEARCH events USING INTEGER PRIMARY KEY (rowid>?)"),
        (super::attempts::OF_DELIVERY, "SEARCH attempts USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
    ] {
        // A constant row is what asks whether there is one.
        let plan = plan(&conn, sql).replace("SCAN CONSTANT ROW", "");
        assert!(plan.contains(step), "{sql}\n{plan}");
        assert!(!plan.contains("SCAN") || plan.contains("SCAN (subquery"), "{sql}\n{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
    }
}

#[test]
fn what_failed_is_counted_from_its_index_alone() {
    let mut conn = Connection::open_in_memory().expect("a database");
    migrations::migrate(&mut conn).expect("the schema");
    let plan = plan(&conn, failed::COUNT);
    let step = "SEARCH attempts USING COVERING INDEX attempts_failed (webhook=? AND key<?)";
    assert!(plan.contains(step) && !plan.contains("ORDER BY"), "{plan}");
}

#[test]
fn the_audit_log_is_read_by_its_indexes() {
    let mut conn = Connection::open_in_memory().expect("a database");
    migrations::migrate(&mut conn).expect("the schema");
    for (sql, step) in [
        (audit::OF_TENANT, "SEARCH audit_entries USING INDEX audit_entries_tenant (tenant=? AND rowid<?)"),
        (
            audit::ABOUT,
            "SEARCH audit_entries USING INDEX audit_entries_target (tenant=? AND target_id=? AND rowid<?)",
        ),
    ] {
        let plan = plan(&conn, sql);
        assert!(plan.contains(step), "{sql}\n{plan}");
    }
}

#[test]
fn ids_of_keys_are_stepped_over_and_not_counted() {
    let mut conn = Connection::open_in_memory().expect("a database");
    migrations::migrate(&mut conn).expect("the schema");
    let plan = plan(&conn, super::sealing::IDS);
    for table in ["webhooks", "secrets"] {
        for step in ["", " (<expr>>?)"] {
            let step = format!("SEARCH {table} USING COVERING INDEX {table}_sealed{step}");
            assert!(plan.contains(&step), "{step}\n{plan}");
        }
        assert!(!plan.contains(&format!("SCAN {table}")), "{plan}");
    }
}

#[test]
fn lanes_are_stepped_over_and_not_walked_through() {
    let mut conn = Connection::open_in_memory().expect("a database");
    migrations::migrate(&mut conn).expect("the schema");
    for sql in [claims::WAITING, claims::END_LEASES, by_hand::ORPHANED_LANES] {
        let plan = plan(&conn, sql);
        assert!(plan.contains("SEARCH pending USING COVERING INDEX pending_due (webhook>?)"), "{plan}");
        for table in ["pending", "leased", "webhooks", "events"] {
            assert!(!plan.contains(&format!("SCAN {table}")), "{plan}");
        }
    }
}
