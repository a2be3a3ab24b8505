-- Webhooks of other dialects than the native one, and how tickets' quantities
-- change.

ALTER TABLE webhooks ADD COLUMN dialect TEXT NOT NULL DEFAULT 'native';

-- Only webhooks of the OpenTicket dialect have one.
ALTER TABLE webhooks ADD COLUMN nonce TEXT;

CREATE UNIQUE INDEX webhooks_nonce ON webhooks (nonce) WHERE nonce IS NOT NULL;

-- What is counted and numbered is one dialect of a tenant, in the order of
-- creation, which is that of the keys.
CREATE INDEX webhooks_dialect ON webhooks (tenant, dialect, deleted_at);

-- By how much a ticket's quantity changed; null where that is unknown, and for
-- everything else. It stands behind the body, and is read with the body only.
ALTER TABLE events ADD COLUMN quantity_diff INTEGER;

-- The quantity that was last published of each ticket. Rows that nothing was
-- published for are deleted after a year.
CREATE TABLE quantities (
    tenant INTEGER NOT NULL,
    ticket TEXT NOT NULL,
    quantity INTEGER NOT NULL,
    published_at INTEGER NOT NULL,
    PRIMARY KEY (tenant, ticket)
) STRICT, WITHOUT ROWID;
