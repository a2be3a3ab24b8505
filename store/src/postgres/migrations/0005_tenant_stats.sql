-- What is told of a tenant at a glance.

-- One row a tenant, hour and shard: the sums of stats over its webhooks, those included
-- that are deleted. To add up a thousand webhooks whenever somebody looks would take too
-- long.
CREATE TABLE tenant_stats (
    tenant bigint NOT NULL,
    bucket bigint NOT NULL,
    shard integer NOT NULL,
    delivered bigint NOT NULL, failed_attempts bigint NOT NULL, given_up bigint NOT NULL,
    l0 bigint NOT NULL, l1 bigint NOT NULL, l2 bigint NOT NULL, l3 bigint NOT NULL,
    l4 bigint NOT NULL, l5 bigint NOT NULL, l6 bigint NOT NULL, l7 bigint NOT NULL,
    l8 bigint NOT NULL, l9 bigint NOT NULL, l10 bigint NOT NULL, l11 bigint NOT NULL,
    l12 bigint NOT NULL, l13 bigint NOT NULL, l14 bigint NOT NULL, l15 bigint NOT NULL,
    PRIMARY KEY (tenant, bucket, shard)
) WITH (fillfactor = 50, autovacuum_vacuum_threshold = 1000);

-- It is written by triggers, so that nodes that don't know of it count too. What
-- retention deletes of stats stays here until it is deleted here. Rows are written in
-- one order, or two nodes that count for the same tenants would wait for each other.
CREATE FUNCTION count_for_tenants() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO tenant_stats AS s
    SELECT (SELECT tenant FROM webhooks WHERE key = counted.webhook), bucket, shard,
        sum(delivered), sum(failed_attempts), sum(given_up), sum(l0), sum(l1), sum(l2),
        sum(l3), sum(l4), sum(l5), sum(l6), sum(l7), sum(l8), sum(l9), sum(l10), sum(l11),
        sum(l12), sum(l13), sum(l14), sum(l15)
    FROM counted GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (tenant, bucket, shard) DO UPDATE SET
        delivered = s.delivered + excluded.delivered,
        failed_attempts = s.failed_attempts + excluded.failed_attempts,
        given_up = s.given_up + excluded.given_up, l0 = s.l0 + excluded.l0,
        l1 = s.l1 + excluded.l1, l2 = s.l2 + excluded.l2, l3 = s.l3 + excluded.l3,
        l4 = s.l4 + excluded.l4, l5 = s.l5 + excluded.l5, l6 = s.l6 + excluded.l6,
        l7 = s.l7 + excluded.l7, l8 = s.l8 + excluded.l8, l9 = s.l9 + excluded.l9,
        l10 = s.l10 + excluded.l10, l11 = s.l11 + excluded.l11, l12 = s.l12 + excluded.l12,
        l13 = s.l13 + excluded.l13, l14 = s.l14 + excluded.l14, l15 = s.l15 + excluded.l15;
    RETURN NULL;
END
$$;

CREATE FUNCTION count_more_for_tenants() RETURNS trigger
LANGUAGE plpgsql
AS $$
BEGIN
    INSERT INTO tenant_stats AS s
    SELECT (SELECT tenant FROM webhooks WHERE key = more.webhook), bucket, shard,
        sum(delivered), sum(failed_attempts), sum(given_up), sum(l0), sum(l1), sum(l2),
        sum(l3), sum(l4), sum(l5), sum(l6), sum(l7), sum(l8), sum(l9), sum(l10), sum(l11),
        sum(l12), sum(l13), sum(l14), sum(l15)
    FROM (
        SELECT webhook, bucket, shard,
            delivered, failed_attempts, given_up, l0, l1, l2, l3, l4, l5, l6, l7, l8, l9, l10,
            l11, l12, l13, l14, l15
        FROM counted
        UNION ALL
        SELECT webhook, bucket, shard,
            -delivered, -failed_attempts, -given_up, -l0, -l1, -l2, -l3, -l4, -l5, -l6, -l7,
            -l8, -l9, -l10, -l11, -l12, -l13, -l14, -l15
        FROM counted_before
    ) AS more GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
    ON CONFLICT (tenant, bucket, shard) DO UPDATE SET
        delivered = s.delivered + excluded.delivered,
        failed_attempts = s.failed_attempts + excluded.failed_attempts,
        given_up = s.given_up + excluded.given_up, l0 = s.l0 + excluded.l0,
        l1 = s.l1 + excluded.l1, l2 = s.l2 + excluded.l2, l3 = s.l3 + excluded.l3,
        l4 = s.l4 + excluded.l4, l5 = s.l5 + excluded.l5, l6 = s.l6 + excluded.l6,
        l7 = s.l7 + excluded.l7, l8 = s.l8 + excluded.l8, l9 = s.l9 + excluded.l9,
        l10 = s.l10 + excluded.l10, l11 = s.l11 + excluded.l11, l12 = s.l12 + excluded.l12,
        l13 = s.l13 + excluded.l13, l14 = s.l14 + excluded.l14, l15 = s.l15 + excluded.l15;
    RETURN NULL;
END
$$;

CREATE TRIGGER stats_inserted AFTER INSERT ON stats
REFERENCING NEW TABLE AS counted
FOR EACH STATEMENT EXECUTE FUNCTION count_for_tenants();

CREATE TRIGGER stats_updated AFTER UPDATE ON stats
REFERENCING OLD TABLE AS counted_before NEW TABLE AS counted
FOR EACH STATEMENT EXECUTE FUNCTION count_more_for_tenants();

INSERT INTO tenant_stats
SELECT webhooks.tenant, bucket, shard,
    sum(delivered), sum(failed_attempts), sum(given_up), sum(l0), sum(l1), sum(l2), sum(l3),
    sum(l4), sum(l5), sum(l6), sum(l7), sum(l8), sum(l9), sum(l10), sum(l11), sum(l12),
    sum(l13), sum(l14), sum(l15)
FROM stats JOIN webhooks ON webhooks.key = stats.webhook GROUP BY 1, 2, 3;
