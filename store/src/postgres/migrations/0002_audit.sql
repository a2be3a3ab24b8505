-- Who changed what, and how people get in by portal links.

-- tenant is 0 for what concerns the deployment. before and after are JSON with the
-- secrets masked.
CREATE TABLE audit_entries (
    key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant bigint NOT NULL,
    at bigint NOT NULL,
    actor_kind text NOT NULL,
    actor_id text NOT NULL,
    actor_name text NOT NULL,
    action text NOT NULL,
    target_kind text NOT NULL,
    target_id text NOT NULL,
    before text,
    after text,
    address text
);

CREATE INDEX audit_entries_tenant ON audit_entries (tenant, key);
CREATE INDEX audit_entries_target ON audit_entries (tenant, target_id, key);

CREATE TABLE portal_links (
    key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    tenant bigint NOT NULL,
    name text NOT NULL,
    scopes text NOT NULL,
    token_digest bytea NOT NULL UNIQUE,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL,
    revoked_at bigint
);

CREATE INDEX portal_links_tenant ON portal_links (tenant, key);
CREATE INDEX portal_links_expiry ON portal_links (expires_at);

-- A session ends with its link: expires_at is the same.
CREATE TABLE portal_sessions (
    key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    digest bytea NOT NULL UNIQUE,
    link bigint NOT NULL,
    created_at bigint NOT NULL,
    expires_at bigint NOT NULL
);

CREATE INDEX portal_sessions_link ON portal_sessions (link, key);
CREATE INDEX portal_sessions_expiry ON portal_sessions (expires_at);
