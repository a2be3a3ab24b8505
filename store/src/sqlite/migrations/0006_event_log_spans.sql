-- The log of events in spans of 32,768 events: span is event >> 15.
--
-- Subjects are many, and each has a place of its own in an index. With one
-- index over everything a batch touches about a page an event; with one a span it
-- touches the few pages of the newest span, and old spans are written no more.
-- A list looks into one span after the other.

ALTER TABLE event_log RENAME TO event_log_before;

CREATE TABLE event_log (
    span INTEGER NOT NULL,
    tenant INTEGER NOT NULL,
    facet INTEGER NOT NULL,
    event INTEGER NOT NULL,
    PRIMARY KEY (span, tenant, facet, event)
) STRICT, WITHOUT ROWID;

INSERT INTO event_log (span, tenant, facet, event)
SELECT event >> 15, tenant, facet, event FROM event_log_before ORDER BY 1, 2, 3, 4;

DROP TABLE event_log_before;
