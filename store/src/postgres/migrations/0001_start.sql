-- What a Callboard database holds, on PostgreSQL.
--
-- One column has one name here and on SQLite. Times are microseconds since
-- 1970, in UTC. Everything is looked up by the schema that search_path names
-- first, so several installations can share a database.

-- Numbers by name: 'heartbeat' is written to see that writing works,
-- 'default_retention' is the length in force.
CREATE TABLE marks (
    name text PRIMARY KEY,
    value bigint NOT NULL
) WITH (fillfactor = 50);

INSERT INTO marks (name, value) VALUES ('heartbeat', 0);

-- What the deployment keeps to itself, such as its signing key.
CREATE TABLE deployment (
    name text PRIMARY KEY,
    value bytea NOT NULL
);

CREATE TABLE tenants (
    key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    name text NOT NULL,
    retention_seconds bigint,
    created_at bigint NOT NULL
);

CREATE TABLE clients (
    key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    tenant bigint NOT NULL,
    name text NOT NULL,
    secret_digest bytea NOT NULL,
    scopes text NOT NULL,
    enabled boolean NOT NULL,
    created_at bigint NOT NULL
);

CREATE INDEX clients_tenant ON clients (tenant, key);

-- A key is never used again: the log of a deleted webhook outlives it. settings
-- are text, which keeps the form of numbers.
CREATE TABLE webhooks (
    key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id bytea NOT NULL UNIQUE,
    tenant bigint NOT NULL,
    revision bigint NOT NULL,
    settings text NOT NULL,
    status text NOT NULL,
    disabled_reason text,
    failing_since bigint,
    created_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    deleted_at bigint,
    dialect text NOT NULL DEFAULT 'native',
    nonce text
);

CREATE INDEX webhooks_tenant ON webhooks (tenant, key) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX webhooks_nonce ON webhooks (nonce) WHERE nonce IS NOT NULL;
CREATE INDEX webhooks_dialect ON webhooks (tenant, dialect, key) WHERE deleted_at IS NULL;

CREATE TABLE secrets (
    key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    webhook bigint NOT NULL,
    value text NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint
);

CREATE INDEX secrets_webhook ON secrets (webhook, key);

-- The body stands here once, never once a delivery. accepted_at never falls as
-- key grows, so times are found by halving and need no index. webhooks names the
-- webhook of each delivery, four bytes each, little-endian; their keys are
-- first_delivery and those that follow.
--
-- An echo is a row for a late delivery: one webhook, an empty body, and the key
-- of its event as origin. It is no event of its tenant.
CREATE TABLE events (
    key bigint NOT NULL,
    tenant bigint NOT NULL,
    accepted_at bigint NOT NULL,
    first_delivery bigint NOT NULL,
    quantity_diff bigint,
    origin bigint,
    id text NOT NULL,
    type text NOT NULL,
    subject text NOT NULL,
    webhooks bytea NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (key)
) PARTITION BY RANGE (key);

CREATE INDEX events_tenant ON events (tenant, key) WHERE origin IS NULL;
CREATE INDEX events_type ON events (tenant, type, key) WHERE origin IS NULL;
CREATE INDEX events_subject ON events (tenant, subject, key) WHERE origin IS NULL;

-- What makes publishing idempotent. A partitioned table can't promise it.
CREATE TABLE event_ids (
    tenant bigint NOT NULL,
    id text NOT NULL,
    event bigint NOT NULL,
    PRIMARY KEY (tenant, id)
);

-- The echoes by their origin. A webhook has no two late deliveries of one event,
-- whatever else fails.
CREATE TABLE late_deliveries (
    origin bigint NOT NULL,
    webhook bigint NOT NULL,
    event bigint NOT NULL,
    delivery bigint NOT NULL,
    PRIMARY KEY (origin, webhook)
);

CREATE INDEX late_deliveries_order ON late_deliveries (origin, delivery);

-- The deliveries that are not over. due_at is the largest integer while a node
-- has the delivery in its hands, and the largest but one while it waits behind
-- another one of its chain. chain is a short stand-in for webhook and subject
-- where deliveries about one subject go in order, and 0 where they don't.
-- collapses: a newer one of the chain makes this one superfluous.
CREATE TABLE pending (
    delivery bigint PRIMARY KEY,
    event bigint NOT NULL,
    webhook bigint NOT NULL,
    due_at bigint NOT NULL,
    chain bigint NOT NULL DEFAULT 0,
    node bigint,
    attempts integer NOT NULL,
    tries integer NOT NULL,
    collapses boolean NOT NULL DEFAULT FALSE
) WITH (
    fillfactor = 70,
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0.02,
    autovacuum_analyze_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);

CREATE INDEX pending_due ON pending (webhook, due_at, delivery);
CREATE INDEX pending_webhook ON pending (webhook, delivery);
CREATE INDEX pending_chain ON pending (chain, due_at, delivery) WHERE chain <> 0;
CREATE INDEX pending_collapsing ON pending (chain, delivery) WHERE collapses;

-- Where one webhook has nearly all rows, the planner would else read all of them
-- for another one that has none. Partitions are told the same when they are made.
ALTER TABLE pending ALTER COLUMN webhook SET (n_distinct = 100000),
    ALTER COLUMN chain SET (n_distinct = 100000);

-- Rows of no webhook, which nothing asks for. This table is empty much of the time.
-- The planner would learn that, decide that reading all of it is as good as any
-- index, and keep that plan while a crowd of deliveries comes in.
INSERT INTO pending (delivery, event, webhook, due_at, chain, attempts, tries, collapses)
SELECT -n, -n, -n, 9223372036854775807, -n, 0, 0, TRUE FROM generate_series(1, 10000) AS n;

ANALYZE pending;

-- What was tried. state is that of the delivery afterwards: 0 pending,
-- 1 waiting, 2 delivered, 3 failed, 4 superseded, 5 cancelled. A failed delivery
-- that is retried by hand has its last row set to 6, failed and retried since,
-- so that attempts_failed holds exactly what is failed now.
CREATE TABLE attempts (
    delivery bigint NOT NULL,
    event bigint NOT NULL,
    webhook bigint NOT NULL,
    started_at bigint NOT NULL,
    duration_us bigint NOT NULL,
    number integer NOT NULL,
    status integer,
    state smallint NOT NULL,
    cause text,
    detail text,
    PRIMARY KEY (delivery, number)
) PARTITION BY RANGE (delivery);

-- Whatever was tried, or ended untried, has exactly one first row.
CREATE INDEX attempts_webhook ON attempts (webhook, delivery) WHERE number = 1;
CREATE INDEX attempts_failed ON attempts (webhook, delivery) WHERE state = 3;

-- Which partitions there are of 'events' and 'attempts': the keys from first to
-- before beyond.
CREATE TABLE partitions (
    name text PRIMARY KEY,
    parent text NOT NULL,
    first bigint NOT NULL,
    beyond bigint NOT NULL
);

-- Attempts by webhook and hour; l0 to l15 count them by latency class. What is
-- told is the sum over the shards: batches that run at the same time have one
-- each, so that none waits for another's commit.
CREATE TABLE stats (
    webhook bigint NOT NULL,
    bucket bigint NOT NULL,
    shard integer NOT NULL,
    delivered bigint NOT NULL,
    failed_attempts bigint NOT NULL,
    given_up bigint NOT NULL,
    l0 bigint NOT NULL, l1 bigint NOT NULL, l2 bigint NOT NULL, l3 bigint NOT NULL,
    l4 bigint NOT NULL, l5 bigint NOT NULL, l6 bigint NOT NULL, l7 bigint NOT NULL,
    l8 bigint NOT NULL, l9 bigint NOT NULL, l10 bigint NOT NULL, l11 bigint NOT NULL,
    l12 bigint NOT NULL, l13 bigint NOT NULL, l14 bigint NOT NULL, l15 bigint NOT NULL,
    PRIMARY KEY (webhook, bucket, shard)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 1000);

-- A job walks from after_key to last_key: a retry of what failed and a replay over
-- deliveries, or over events where what is missing is sent. counted_to is
-- where the counting of the total goes on; null when all of it is counted.
CREATE TABLE jobs (
    key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant bigint NOT NULL,
    webhook bigint NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    selection text,
    after_key bigint NOT NULL,
    last_key bigint NOT NULL,
    total bigint NOT NULL,
    done bigint NOT NULL,
    looked_at bigint NOT NULL DEFAULT 0,
    counted_to bigint,
    rate_per_second double precision,
    paced_until bigint NOT NULL DEFAULT 0,
    created_at bigint NOT NULL,
    ended_at bigint
);

CREATE INDEX jobs_tenant ON jobs (tenant, key);

-- A webhook has one running job of a kind, whatever else fails.
CREATE UNIQUE INDEX jobs_running ON jobs (webhook, kind) WHERE state = 'running';

-- The quantity that was last published of each ticket. Rows that nothing was
-- published for are deleted after a year.
CREATE TABLE quantities (
    tenant bigint NOT NULL,
    ticket text NOT NULL,
    quantity bigint NOT NULL,
    published_at bigint NOT NULL,
    PRIMARY KEY (tenant, ticket)
) WITH (fillfactor = 80);

-- For each length of retention in use, the first event not looked at yet.
CREATE TABLE retention (
    seconds bigint PRIMARY KEY,
    next_event bigint NOT NULL
);

-- The processes that work on this database. What a node has in its hands is
-- given back when its lease has passed; the lease is in the time of the database.
-- Who alone claims for a webhook whose deliveries have a pace: the node that
-- asked first, until it is gone.
CREATE TABLE lane_owners (
    webhook bigint PRIMARY KEY,
    node bigint NOT NULL
);

CREATE TABLE nodes (
    key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id text NOT NULL UNIQUE,
    name text NOT NULL,
    version text NOT NULL,
    started_at bigint NOT NULL,
    lease_until bigint NOT NULL
) WITH (fillfactor = 50);

-- The next free keys, and when the last event was accepted. Sequences never run
-- backwards and are seen by everybody at once, committed or not.
CREATE SEQUENCE event_keys;
CREATE SEQUENCE delivery_keys;
CREATE SEQUENCE acceptance MINVALUE 0;

-- What time the database has.
CREATE FUNCTION database_time() RETURNS bigint
LANGUAGE sql VOLATILE
AS $$ SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint $$;

-- The first half of a lock's number: installations that share a database, and
-- locks of different kinds, keep out of each other's way. 'keys' guards
-- next_keys, 'held' names keys that are taken and not yet visible, 'chains' holds
-- places for chains, 'nodes' the nodes that are claiming, 'upkeep' guards what one
-- node does for all, 'migrations' the schema.
CREATE FUNCTION lock_place(kind text) RETURNS integer
LANGUAGE sql STABLE
AS $$ SELECT hashtext(current_schema() || '/' || kind) $$;

-- Takes keys for new events and their deliveries, and the time of acceptance: it
-- never falls as keys grow. The first key is locked until the transaction is
-- over, and so tells readers how far they may go (settled_before). The lock around
-- all of it is let go at once. Whoever fails in between has to let go of it by
-- hand (pg_advisory_unlock_all), for it outlives a rollback.
CREATE FUNCTION next_keys(
    events bigint, deliveries bigint, given bigint,
    OUT first_event bigint, OUT first_delivery bigint, OUT accepted_at bigint
)
LANGUAGE plpgsql
AS $$
DECLARE
    place integer := lock_place('keys');
BEGIN
    PERFORM pg_advisory_lock(place, 0);
    SELECT last_value INTO first_event FROM event_keys;
    SELECT last_value INTO first_delivery FROM delivery_keys;
    SELECT last_value INTO accepted_at FROM acceptance;
    accepted_at := greatest(accepted_at, given);
    -- Before the keys move on, or a reader could miss it.
    PERFORM pg_advisory_xact_lock_shared(lock_place('held'), first_event::bit(32)::integer);
    PERFORM setval('event_keys', first_event + events, FALSE);
    PERFORM setval('delivery_keys', first_delivery + deliveries, FALSE);
    PERFORM setval('acceptance', accepted_at);
    PERFORM pg_advisory_unlock(place, 0);
END
$$;

-- A key of events: nothing below it can still appear to a statement that begins
-- after this. First the next key is read, then which keys are held; a lock is let
-- go only after its transaction's rows are visible.
CREATE FUNCTION settled_before() RETURNS bigint
LANGUAGE plpgsql
AS $$
DECLARE
    following bigint;
    behind bigint;
BEGIN
    SELECT last_value INTO following FROM event_keys;
    -- Locks show the lower half of a key.
    SELECT max((following - objid::bigint) & 4294967295) INTO behind FROM pg_locks
    WHERE locktype = 'advisory' AND objsubid = 2
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND classid::bigint = lock_place('held')::bigint & 4294967295
      AND granted AND (following - objid::bigint) & 4294967295 < 2147483648;
    RETURN following - coalesce(behind, 0);
END
$$;

-- Tells other processes of something, once this transaction is committed.
CREATE FUNCTION signal(kind text) RETURNS void
LANGUAGE sql VOLATILE
AS $$
    SELECT pg_notify('callboard',
        coalesce(current_setting('callboard.process', TRUE), '') || ' ' || kind || ' ' || current_schema())
$$;
