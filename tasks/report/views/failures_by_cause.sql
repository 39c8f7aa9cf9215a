-- What kept items from being delivered: one row a run, state, cause and provider, with one example to look at.
CREATE OR REPLACE VIEW failures_by_cause AS
SELECT
    run_id,
    state,
    coalesce(error_code, state) AS cause,
    coalesce(provider, '') AS provider,
    count(*) AS items,
    CAST(sum(attempts) AS BIGINT) AS requests,
    CAST(sum(cost_usd) AS DECIMAL(18, 6)) AS cost_usd,
    min(item_id) AS example_item_id,
    arg_min(error_message, item_id) AS example_message,
    max(finished_at) AS last_seen_at
FROM results
WHERE state <> 'succeeded'
GROUP BY ALL
ORDER BY items DESC, run_id, state, cause, provider;
