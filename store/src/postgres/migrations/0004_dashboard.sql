-- What a dashboard needs: sessions of the operator, when clients were last used, and
-- jobs that go for one reason of failure.

CREATE TABLE operator_sessions (
    key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL
);

CREATE INDEX operator_sessions_expiry ON operator_sessions (expires_at);

-- A link that was opened is gone.
CREATE TABLE sign_in_links (
    key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    token_digest bytea NOT NULL UNIQUE,
    expires_at bigint NOT NULL
);

CREATE INDEX sign_in_links_expiry ON sign_in_links (expires_at);

ALTER TABLE clients ADD COLUMN last_used_at bigint;

-- From now on the kind of a job that goes for one reason only has this behind it, as
-- in 'retry_failed/status/503'. '-' stands for what does not matter. A column of its
-- own would be overlooked by older nodes, which would then retry everything; they
-- leave jobs alone whose kind they don't know. jobs_running does the rest: of a kind
-- and reason one runs at a time.
