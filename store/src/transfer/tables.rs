//! What is moved: each table of PostgreSQL, and where its rows come from in a
//! database of SQLite.
//!
//! What SQLite keeps beside that is made anew: its logs are indexes, and PostgreSQL
//! has others; the sums of tenants are added up by its triggers as stats come in.

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `boolean`, of 0 and 1.
    Bool,
    /// `smallint`.
    Small,
    /// `integer`.
    Integer,
    /// `bigint`.
    Big,
    /// `double precision`.
    Real,
    /// `text`.
    Text,
    /// `bytea`.
    Bytes,
    /// `bigint`, of a webhook's key as events have it.
    Webhook,
}

/// A column of PostgreSQL.
#[derive(Debug)]
pub(crate) struct Column {
    /// What it is called there.
    pub(crate) name: &'static str,
    /// What it is to hold, as SQLite tells it.
    pub(crate) value: &'static str,
    pub(crate) kind: Kind,
}

/// A table of PostgreSQL.
#[derive(Debug)]
pub(crate) struct Table {
    /// What it is called there.
    pub(crate) name: &'static str,
    pub(crate) columns: &'static [Column],
    /// Its rows in SQLite: what follows FROM.
    pub(crate) from: &'static str,
    /// The order in which they are read: always the same, so that a number of rows
    /// tells where to go on.
    pub(crate) order: &'static str,
    /// Those of its rows that are moved, where a new database has others.
    pub(crate) only: &'static str,
    /// Whether its keys go on behind the largest one.
    pub(crate) numbered: bool,
}

const PLAIN: Table = Table { name: "", columns: &[], from: "", order: "key", only: "TRUE", numbered: false };

const fn same(name: &'static str, kind: Kind) -> Column {
    Column { name, value: name, kind }
}

const fn made(name: &'static str, value: &'static str, kind: Kind) -> Column {
    Column { name, value, kind }
}

use Kind::{Big, Bool, Bytes, Integer, Real, Small, Text, Webhook};

/// All of them, in the order in which they are moved.
pub(crate) const TABLES: &[Table] = &[
    Table {
        name: "deployment",
        columns: &[same("name", Text), same("value", Bytes), same("sealed", Bytes)],
        from: "deployment",
        order: "name",
        ..PLAIN
    },
    Table {
        name: "marks",
        columns: &[same("name", Text), same("value", Big)],
        // The others are sequences there, or tell how far the logs are written.
        from: "marks WHERE name = 'default_retention'",
        order: "name",
        only: "name = 'default_retention'",
        ..PLAIN
    },
    Table {
        name: "tenants",
        columns: &[
            same("key", Big),
            same("id", Text),
            same("name", Text),
            same("retention_seconds", Big),
            same("created_at", Big),
        ],
        from: "tenants",
        numbered: true,
        ..PLAIN
    },
    Table {
        name: "clients",
        columns: &[
            same("key", Big),
            same("id", Text),
            same("tenant", Big),
            same("name", Text),
            same("secret_digest", Bytes),
            same("scopes", Text),
            same("enabled", Bool),
            same("created_at", Big),
            same("last_used_at", Big),
        ],
        from: "clients",
        numbered: true,
        ..PLAIN
    },
    Table {
        name: "audit_entries",
        columns: &[
            same("key", Big),
            same("tenant", Big),
            same("at", Big),
            same("actor_kind", Text),
            same("actor_id", Text),
            same("actor_name", Text),
            same("action", Text),
            same("target_kind", Text),
            same("target_id", Text),
            same("before", Text),
            same("after", Text),
            same("address", Text),
        ],
        from: "audit_entries",
        numbered: true,
        ..PLAIN
    },
    Table {
        name: "portal_links",
        columns: &[
            same("key", Big),
            same("tenant", Big),
            same("name", Text),
            same("scopes", Text),
            same("token_digest", Bytes),
            same("created_at", Big),
            same("expires_at", Big),
            same("revoked_at", Big),
        ],
        from: "portal_links",
        numbered: true,
        ..PLAIN
    },
    Table {
        name: "portal_sessions",
        columns: &[
            same("key", Big),
            same("digest", Bytes),
            same("link", Big),
            same("created_at", Big),
            same("expires_at", Big),
        ],
        from: "portal_sessions",
        numbered: true,
        ..PLAIN
    },
    Table {
        name: "operator_sessions",
        columns: &[same("key", Big), same("digest", Bytes), same("created_at", Big), same("expires_at", Big)],
        from: "operator_sessions",
        numbered: true,
        ..PLAIN
    },
    Table {
        name: "sign_in_links",
        columns: &[same("key", Big), same("token_digest", Bytes), same("expires_at", Big)],
        from: "sign_in_links",
        numbered: true,
        ..PLAIN
    },
    Table {
        name: "webhooks",
        columns: &[
            same("key", Big),
            same("id", Bytes),
            same("tenant", Big),
            same("revision", Big),
            same("settings", Text),
            same("status", Text),
            same("disabled_reason", Text),
            same("failing_since", Big),
            same("created_at", Big),
            same("updated_at", Big),
            same("deleted_at", Big),
            same("dialect", Text),
            same("nonce", Text),
            same("sealed", Bytes),
        ],
        from: "webhooks",
        numbered: true,
        ..PLAIN
    },
    Table {
        name: "secrets",
        columns: &[
            same("key", Big),
            same("webhook", Big),
            same("value", Text),
            same("created_at", Big),
            same("expires_at", Big),
            same("sealed", Bytes),
        ],
        from: "secrets",
        numbered: true,
        ..PLAIN
    },
    Table {
        name: "jobs",
        columns: &[
            same("key", Big),
            same("tenant", Big),
            same("webhook", Big),
            same("kind", Text),
            same("state", Text),
            same("selection", Text),
            // What selects nothing walks over what failed: over attempts in SQLite, over
            // deliveries here. A delivery has one failed attempt, so one that was looked at
            // is done with.
            made("after_key", "CASE WHEN selection IS NULL THEN after_key >> 10 ELSE after_key END", Big),
            made("last_key", "CASE WHEN selection IS NULL THEN last_key >> 10 ELSE last_key END", Big),
            same("total", Big),
            same("done", Big),
            same("looked_at", Big),
            same("counted_to", Big),
            same("rate_per_second", Real),
            same("paced_until", Big),
            same("created_at", Big),
            same("ended_at", Big),
        ],
        from: "jobs",
        numbered: true,
        ..PLAIN
    },
    Table {
        name: "retention",
        columns: &[same("seconds", Big), same("next_event", Big)],
        from: "retention",
        order: "seconds",
        ..PLAIN
    },
    Table {
        name: "quantities",
        columns: &[
            same("tenant", Big),
            same("ticket", Text),
            same("quantity", Big),
            same("published_at", Big),
        ],
        from: "quantities",
        order: "tenant, ticket",
        ..PLAIN
    },
    Table {
        name: "stats",
        columns: &[
            same("webhook", Big),
            same("bucket", Big),
            made("shard", "0", Integer),
            same("delivered", Big),
            same("failed_attempts", Big),
            same("given_up", Big),
            same("l0", Big),
            same("l1", Big),
            same("l2", Big),
            same("l3", Big),
            same("l4", Big),
            same("l5", Big),
            same("l6", Big),
            same("l7", Big),
            same("l8", Big),
            same("l9", Big),
            same("l10", Big),
            same("l11", Big),
            same("l12", Big),
            same("l13", Big),
            same("l14", Big),
            same("l15", Big),
        ],
        from: "stats",
        order: "webhook, bucket",
        ..PLAIN
    },
    Table {
        name: "events",
        columns: &[
            same("key", Big),
            same("tenant", Big),
            same("accepted_at", Big),
            same("first_delivery", Big),
            same("quantity_diff", Big),
            same("origin", Big),
            same("id", Text),
            same("type", Text),
            same("subject", Text),
            same("webhooks", Bytes),
            same("body", Bytes),
        ],
        from: "events",
        ..PLAIN
    },
    Table {
        name: "event_ids",
        columns: &[same("tenant", Big), same("id", Text), made("event", "key", Big)],
        from: "events WHERE origin IS NULL",
        ..PLAIN
    },
    Table {
        name: "late_deliveries",
        columns: &[
            same("origin", Big),
            made("webhook", "webhooks", Webhook),
            made("event", "key", Big),
            made("delivery", "first_delivery", Big),
        ],
        from: "events WHERE origin IS NOT NULL",
        ..PLAIN
    },
    Table {
        name: "attempts",
        columns: &[
            made("delivery", "key >> 10", Big),
            same("event", Big),
            same("webhook", Big),
            same("started_at", Big),
            same("duration_us", Big),
            made("number", "key & 1023", Integer),
            same("status", Integer),
            same("state", Small),
            same("cause", Text),
            same("detail", Text),
        ],
        from: "attempts",
        ..PLAIN
    },
    Table {
        name: "pending",
        columns: &[
            same("delivery", Big),
            same("event", Big),
            same("webhook", Big),
            // Leases end as they do when SQLite is opened anew.
            made(
                "due_at",
                "CASE due_at WHEN 9223372036854775807
                     THEN (SELECT accepted_at FROM events WHERE key = pending.event) ELSE due_at END",
                Big,
            ),
            same("chain", Big),
            same("attempts", Integer),
            same("tries", Integer),
            same("collapses", Bool),
        ],
        // Rows of no webhook are the database's own.
        only: "webhook > 0",
        from: "pending",
        order: "delivery",
        ..PLAIN
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::LEASED;
    use crate::sqlite::NUMBERS;

    #[test]
    fn the_numbers_in_statements_are_those_of_the_schema() {
        let value = |table: &str, column: &str| {
            let table = TABLES.iter().find(|one| one.name == table).expect("a table");
            table.columns.iter().find(|one| one.name == column).expect("a column").value
        };
        assert!(value("pending", "due_at").contains(&format!("WHEN {LEASED}\n")));
        assert_eq!((1 << 10, value("attempts", "delivery")), (NUMBERS, "key >> 10"));
        assert_eq!((1023, value("attempts", "number")), (NUMBERS - 1, "key & 1023"));
        assert!(value("jobs", "after_key").contains("selection IS NULL THEN after_key >> 10"));
    }
}
