-- How each provider did at each operation: delivery, speed, price, and how clean its pictures came back.
-- Reused rows are left out: nobody worked on them.
CREATE OR REPLACE VIEW provider_scorecard AS
SELECT
    provider,
    coalesce(operation, 'object-removal') AS operation,
    count(*) AS items,
    count(*) FILTER (WHERE state = 'succeeded') AS delivered,
    round(count(*) FILTER (WHERE state = 'succeeded') / count(*), 4) AS delivered_share,
    CAST(sum(attempts) AS BIGINT) AS requests,
    round(sum(attempts) / count(*), 2) AS requests_per_item,
    CAST(quantile_cont(duration_ms, 0.5) FILTER (WHERE state = 'succeeded') AS BIGINT) AS p50_ms,
    CAST(quantile_cont(duration_ms, 0.95) FILTER (WHERE state = 'succeeded') AS BIGINT) AS p95_ms,
    CAST(sum(credits) AS DECIMAL(18, 6)) AS credits,
    CAST(sum(cost_usd) AS DECIMAL(18, 6)) AS cost_usd,
    CAST(sum(cost_usd) / nullif(count(*) FILTER (WHERE state = 'succeeded'), 0) AS DECIMAL(18, 6)) AS cost_per_delivered_usd,
    round(avg(quality_outside_max_delta), 2) AS mean_outside_max_delta,
    round(avg(quality_inside_change), 2) AS mean_inside_change
FROM results
WHERE provider IS NOT NULL AND NOT reused
GROUP BY ALL
ORDER BY items DESC, provider, operation;
