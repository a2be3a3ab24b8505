-- Deliveries of events from before their webhook heard them, and jobs with a
-- rate.

-- A late delivery can't stand among those of its event: their keys follow each
-- other. So it is recorded as an echo, another row with a key and a time of its
-- own, an empty body, one delivery, and the key of its event as origin. Its id_key
-- is its own key, and it is no event of its tenant: only deliveries see it.
-- Whether a row is one is told without its body's pages, because the header of a
-- row says what is null.
ALTER TABLE events ADD COLUMN origin INTEGER;

-- A webhook has no two late deliveries of one event, whatever else fails.
CREATE UNIQUE INDEX events_late ON events (origin, webhooks) WHERE origin IS NOT NULL;

CREATE INDEX events_echoes ON events (origin, first_delivery) WHERE origin IS NOT NULL;

ALTER TABLE jobs ADD COLUMN rate_per_second REAL;
ALTER TABLE jobs ADD COLUMN paced_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE jobs ADD COLUMN looked_at INTEGER NOT NULL DEFAULT 0;

-- Where the counting of the total goes on; null when all of it is counted.
ALTER TABLE jobs ADD COLUMN counted_to INTEGER;
