-- What a dashboard needs: sessions of the operator, when clients were last used, and
-- why deliveries failed.

CREATE TABLE operator_sessions (
    key INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX operator_sessions_expiry ON operator_sessions (expires_at);

-- A link that was opened is gone.
CREATE TABLE sign_in_links (
    key INTEGER PRIMARY KEY,
    token_digest BLOB NOT NULL UNIQUE,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX sign_in_links_expiry ON sign_in_links (expires_at);

ALTER TABLE clients ADD COLUMN last_used_at INTEGER;

-- What is failed now is found, counted by reason, and chosen from, without looking at
-- its rows. A delivery leaves this index, by state 6, when it is retried or discarded.
DROP INDEX attempts_failed;
CREATE INDEX attempts_failed ON attempts (webhook, key, cause, status, started_at) WHERE state = 3;

-- From now on the kind of a job that goes for one reason only has this behind it, as
-- in 'retry_failed/status/503'. '-' stands for what does not matter.
