-- What a Callboard database holds.
--
-- Rows are numbered by small integers, and whatever is written once an event
-- is appended at the end of a table: that keeps every index short and every
-- write in few pages. Times are microseconds since 1970, in UTC.

-- Numbers that must never run backwards, even when the rows they came from
-- are gone.
CREATE TABLE marks (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO marks (name, value)
VALUES ('next_event', 1), ('next_delivery', 1), ('accepted_at', 0), ('indexed', 0), ('heartbeat', 0);

-- What the deployment keeps to itself, such as its signing key.
CREATE TABLE deployment (
    name TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE tenants (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    retention_seconds INTEGER,
    created_at INTEGER NOT NULL
) STRICT;

CREATE TABLE clients (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    tenant INTEGER NOT NULL,
    name TEXT NOT NULL,
    secret_digest BLOB NOT NULL,
    scopes TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) STRICT;

CREATE INDEX clients_tenant ON clients (tenant);

-- A key is never used again: the log of a deleted webhook outlives it.
CREATE TABLE webhooks (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id BLOB NOT NULL UNIQUE,
    tenant INTEGER NOT NULL,
    revision INTEGER NOT NULL,
    settings TEXT NOT NULL,
    status TEXT NOT NULL,
    disabled_reason TEXT,
    failing_since INTEGER,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
) STRICT;

CREATE INDEX webhooks_tenant ON webhooks (tenant) WHERE deleted_at IS NULL;

CREATE TABLE secrets (
    key INTEGER PRIMARY KEY,
    webhook INTEGER NOT NULL,
    value TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT;

CREATE INDEX secrets_webhook ON secrets (webhook);

-- The body stands here once, never once a delivery. accepted_at never falls
-- as key grows, so times are found by halving and need no index. webhooks
-- names the webhook of each delivery, four bytes each, little-endian; their
-- keys are first_delivery and those that follow. id_key is a short stand-in
-- for (tenant, id) and not unique. body stands last: reading the other
-- columns must not fetch its pages.
CREATE TABLE events (
    key INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    id_key INTEGER NOT NULL,
    accepted_at INTEGER NOT NULL,
    first_delivery INTEGER NOT NULL,
    id TEXT NOT NULL,
    type TEXT NOT NULL,
    subject TEXT NOT NULL,
    webhooks BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;

CREATE INDEX events_id ON events (id_key);

-- The deliveries that are not over. due_at is the largest integer while the
-- running process has the delivery in its hands.
CREATE TABLE pending (
    delivery INTEGER PRIMARY KEY,
    event INTEGER NOT NULL,
    webhook INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    tries INTEGER NOT NULL
) STRICT;

CREATE INDEX pending_due ON pending (webhook, due_at);

-- What was tried: key is 1024 * delivery + number of the attempt. state is
-- that of the delivery afterwards: 0 pending, 1 waiting, 2 delivered,
-- 3 failed, 4 superseded, 5 cancelled. A failed delivery that is retried by
-- hand has its last row set to 6, failed and retried since, so that the index
-- below holds exactly what is failed now.
CREATE TABLE attempts (
    key INTEGER PRIMARY KEY,
    event INTEGER NOT NULL,
    webhook INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    duration_us INTEGER NOT NULL,
    state INTEGER NOT NULL,
    status INTEGER,
    cause TEXT,
    detail TEXT
) STRICT;

CREATE INDEX attempts_failed ON attempts (webhook) WHERE state = 3;

-- Two indexes that are written in sorted batches behind the events; the mark
-- 'indexed' is the last event that is in them.
CREATE TABLE delivery_log (
    webhook INTEGER NOT NULL,
    delivery INTEGER NOT NULL,
    PRIMARY KEY (webhook, delivery)
) STRICT, WITHOUT ROWID;

-- facet 0 is every event; the others are hashes of a type or a subject.
CREATE TABLE event_log (
    tenant INTEGER NOT NULL,
    facet INTEGER NOT NULL,
    event INTEGER NOT NULL,
    PRIMARY KEY (tenant, facet, event)
) STRICT, WITHOUT ROWID;

-- One row a webhook and hour; l0 to l15 count attempts by latency class.
CREATE TABLE stats (
    webhook INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    delivered INTEGER NOT NULL,
    failed_attempts INTEGER NOT NULL,
    given_up INTEGER NOT NULL,
    l0 INTEGER NOT NULL, l1 INTEGER NOT NULL, l2 INTEGER NOT NULL, l3 INTEGER NOT NULL,
    l4 INTEGER NOT NULL, l5 INTEGER NOT NULL, l6 INTEGER NOT NULL, l7 INTEGER NOT NULL,
    l8 INTEGER NOT NULL, l9 INTEGER NOT NULL, l10 INTEGER NOT NULL, l11 INTEGER NOT NULL,
    l12 INTEGER NOT NULL, l13 INTEGER NOT NULL, l14 INTEGER NOT NULL, l15 INTEGER NOT NULL,
    PRIMARY KEY (webhook, bucket)
) STRICT, WITHOUT ROWID;

-- A job walks attempts_failed upwards from after_attempt to last_attempt.
CREATE TABLE jobs (
    key INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    webhook INTEGER NOT NULL,
    kind TEXT NOT NULL,
    state TEXT NOT NULL,
    after_attempt INTEGER NOT NULL,
    last_attempt INTEGER NOT NULL,
    total INTEGER NOT NULL,
    done INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    ended_at INTEGER
) STRICT;

CREATE INDEX jobs_tenant ON jobs (tenant);
CREATE INDEX jobs_running ON jobs (webhook) WHERE state = 'running';

-- For each length of retention in use, the first event not looked at yet.
CREATE TABLE retention (
    seconds INTEGER PRIMARY KEY,
    next_event INTEGER NOT NULL
) STRICT;
