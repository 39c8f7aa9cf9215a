-- What was spent on which day (UTC), by run, provider and operation. Sums of its rows are sums of the results.
CREATE OR REPLACE VIEW spend_by_day AS
SELECT
    CAST(finished_at AT TIME ZONE 'UTC' AS DATE) AS day,
    run_id,
    coalesce(provider, '') AS provider,
    coalesce(operation, 'object-removal') AS operation,
    count(*) AS items,
    count(*) FILTER (WHERE state = 'succeeded') AS delivered,
    count(*) FILTER (WHERE reused) AS reused,
    CAST(sum(attempts) AS BIGINT) AS requests,
    CAST(sum(credits) AS DECIMAL(18, 6)) AS credits,
    CAST(sum(cost_usd) AS DECIMAL(18, 6)) AS cost_usd
FROM results
GROUP BY ALL
ORDER BY day, run_id, provider, operation;
