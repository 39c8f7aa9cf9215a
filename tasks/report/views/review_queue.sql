-- Delivered pictures with a score: order by it to see the most suspicious first (the view does not: a sort of a million rows costs
-- more than the best fifty of them). `review_score` runs from 100 (nothing to see) to 0 and takes the worst of three
-- signs, each set against the level at which the quality gate would have refused the picture; `review_reason` names that sign:
--   drift: mean difference outside the mask as returned, of 16 (the delivered picture is restored there),
--   seam:  mean extra step across the mask's edge as delivered, of 24,
--   faint: the most changed percent inside the mask differs by less than 24; at 4 nothing was edited.
-- Older results know the largest difference outside and the mean inside only, which say less and weigh accordingly.
-- A sign that was not measured is no suspicion.
CREATE OR REPLACE VIEW review_queue AS
SELECT
    CAST(round(100 * (1 - greatest(_drift, _seam, _faint))) AS INTEGER) AS review_score,
    CASE
        WHEN greatest(_drift, _seam, _faint) < 0.1 THEN NULL
        WHEN _drift >= greatest(_seam, _faint) THEN 'drift'
        WHEN _seam >= _faint THEN 'seam'
        ELSE 'faint'
    END AS review_reason,
    * EXCLUDE (_drift, _seam, _faint)
FROM (
    SELECT
        least(coalesce(quality_outside_mean_delta / 16, quality_outside_max_delta / 255, 0), 1) AS _drift,
        least(coalesce(quality_seam / 24, 0), 1) AS _seam,
        1 - least(greatest(coalesce((quality_inside_p99 - 4) / 20, quality_inside_change / 12, 1), 0), 1) AS _faint,
        *
    FROM results
    WHERE state = 'succeeded' AND output_uri IS NOT NULL
);
