-- Deliveries that go in order.

-- A short stand-in for webhook and subject where the deliveries about one
-- subject go in order, and 0 where they don't. Of a chain only one delivery at
-- a time has a due_at that may come, or is leased; the others wait behind it
-- with the largest integer but one.
ALTER TABLE pending ADD COLUMN chain INTEGER NOT NULL DEFAULT 0;

-- 1 for an update that a newer one of its chain makes superfluous.
ALTER TABLE pending ADD COLUMN collapses INTEGER NOT NULL DEFAULT 0;

CREATE INDEX pending_chain ON pending (chain, due_at, delivery) WHERE chain <> 0;
CREATE INDEX pending_collapsing ON pending (chain, delivery) WHERE collapses = 1;
