-- One row per evaluated row and scoring function. `score` is null where the function gives no number; what it gave
-- is `score_row`.
CREATE VIEW now.evaljob_scores AS
SELECT
    benchmark_id,
    job_id,
    row_number,
    input_digest,
    scoring_function,
    CASE
        WHEN score_row ->> '$.score' = 'true' THEN 1.0
        WHEN score_row ->> '$.score' = 'false' THEN 0.0
        WHEN isfinite(try_cast(score_row ->> '$.score' AS DOUBLE)) THEN try_cast(score_row ->> '$.score' AS DOUBLE)
    END AS score,
    score_row ->> '$.error' AS error,
    score_row,
    generation,
    generation ->> '$.generated_answer' AS generated_answer,
    position
FROM (
    SELECT
        *,
        scores -> ('$."' || scoring_function || '"') AS score_row
    FROM (
        SELECT
            *,
            unnest(json_keys(scores)) AS scoring_function
        FROM now.evaljob_rows
    )
);
