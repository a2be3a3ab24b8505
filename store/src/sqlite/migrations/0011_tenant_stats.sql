-- What is told of a tenant at a glance.

-- One row a tenant and hour: the sums of stats over its webhooks, those included that
-- are deleted. To add up a thousand webhooks whenever somebody looks would take too long.
CREATE TABLE tenant_stats (
    tenant INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    delivered INTEGER NOT NULL, failed_attempts INTEGER NOT NULL, given_up INTEGER NOT NULL,
    l0 INTEGER NOT NULL, l1 INTEGER NOT NULL, l2 INTEGER NOT NULL, l3 INTEGER NOT NULL,
    l4 INTEGER NOT NULL, l5 INTEGER NOT NULL, l6 INTEGER NOT NULL, l7 INTEGER NOT NULL,
    l8 INTEGER NOT NULL, l9 INTEGER NOT NULL, l10 INTEGER NOT NULL, l11 INTEGER NOT NULL,
    l12 INTEGER NOT NULL, l13 INTEGER NOT NULL, l14 INTEGER NOT NULL, l15 INTEGER NOT NULL,
    PRIMARY KEY (tenant, bucket)
) STRICT, WITHOUT ROWID;

INSERT INTO tenant_stats
SELECT webhooks.tenant, bucket,
    sum(delivered), sum(failed_attempts), sum(given_up), sum(l0), sum(l1), sum(l2), sum(l3),
    sum(l4), sum(l5), sum(l6), sum(l7), sum(l8), sum(l9), sum(l10), sum(l11), sum(l12),
    sum(l13), sum(l14), sum(l15)
FROM stats JOIN webhooks ON webhooks.key = stats.webhook GROUP BY 1, 2;
