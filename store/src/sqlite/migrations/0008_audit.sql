-- Who changed what, and how people get in by portal links.

-- tenant is 0 for what concerns the deployment. before and after are JSON with the
-- secrets masked.
CREATE TABLE audit_entries (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    at INTEGER NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_id TEXT NOT NULL,
    actor_name TEXT NOT NULL,
    action TEXT NOT NULL,
    target_kind TEXT NOT NULL,
    target_id TEXT NOT NULL,
    before TEXT,
    after TEXT,
    address TEXT
) STRICT;

CREATE INDEX audit_entries_tenant ON audit_entries (tenant);
CREATE INDEX audit_entries_target ON audit_entries (tenant, target_id);

CREATE TABLE portal_links (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    tenant INTEGER NOT NULL,
    name TEXT NOT NULL,
    scopes TEXT NOT NULL,
    token_digest BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER
) STRICT;

CREATE INDEX portal_links_tenant ON portal_links (tenant);
CREATE INDEX portal_links_expiry ON portal_links (expires_at);

-- A session ends with its link: expires_at is the same.
CREATE TABLE portal_sessions (
    key INTEGER PRIMARY KEY,
    digest BLOB NOT NULL UNIQUE,
    link INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE INDEX portal_sessions_link ON portal_sessions (link);
CREATE INDEX portal_sessions_expiry ON portal_sessions (expires_at);
