-- The newest fact about each item over all runs: what a catalog looks like today.
CREATE OR REPLACE VIEW latest_by_item AS
SELECT *
FROM results
QUALIFY row_number() OVER (
    PARTITION BY item_id
    ORDER BY finished_at DESC NULLS LAST, run_id DESC, (state = 'succeeded') DESC
) = 1;
