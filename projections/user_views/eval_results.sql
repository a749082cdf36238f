-- One row per evaluated row of a job and scoring function.
--   benchmark_id | VARCHAR | | Benchmark of the job.
--   job_id | VARCHAR | | Number of the job in its benchmark; of rows that were sent with a request an id of its own.
--   dataset_id | VARCHAR | | Dataset of the row; NULL if the rows were sent with a request.
--   row_number | BIGINT | | Number of the row in the dataset, from 0, as in dataset_rows.
--   input_digest | VARCHAR | | Beginning of the SHA-256 of the row's text: rows of two jobs with the same one are the same.
--   scoring_function | VARCHAR | | Scoring function of the score.
--   score | DOUBLE | | The score as a number: true is 1, false is 0. NULL if the function gives no number.
--   score_row | JSON | | All that the function gave.
--   score_error | VARCHAR | | Why the answer could not be scored.
--   generated_answer | VARCHAR | | What the candidate answered. A marker if it is above 256 KiB.
--   is_failed | BOOLEAN | | Whether there is no answer, or none that could be scored.
--   error_status | INTEGER | | HTTP status of the error of a failed row.
--   error_detail | VARCHAR | | Why the row failed.
--   attempts | INTEGER | | Requests to the candidate.
--   duration_ms | BIGINT | ms | From the first request to the last score.
--   input_tokens | BIGINT | tokens | Tokens of the row, repeated for each scoring function: add them up for one function only.
--   output_tokens | BIGINT | tokens | As input_tokens.
--   session_id | VARCHAR | | Session of an agent's answer; NULL for a model.
--   turn_id | VARCHAR | | Turn of an agent's answer; NULL for a model.
--   evaluated_at | TIMESTAMP | UTC | When the row was done.

SELECT
    r.benchmark_id AS benchmark_id,
    r.job_id AS job_id,
    nullif(j.event ->> '$.dataset_id', '') AS dataset_id,
    r.row_number AS row_number,
    r.input_digest AS input_digest,
    r.scoring_function AS scoring_function,
    CASE
        WHEN (r.score_row ->> '$.score') = 'true' THEN 1.0
        WHEN (r.score_row ->> '$.score') = 'false' THEN 0.0
        WHEN isfinite(try_cast(r.score_row ->> '$.score' AS DOUBLE)) THEN try_cast(r.score_row ->> '$.score' AS DOUBLE)
    END AS score,
    r.score_row AS score_row,
    r.score_row ->> '$.error' AS score_error,
    r.generation ->> '$.generated_answer' AS generated_answer,
    r.failed AS is_failed,
    r.error_status AS error_status,
    r.error_detail AS error_detail,
    r.attempts AS attempts,
    r.duration_ms AS duration_ms,
    r.input_tokens AS input_tokens,
    r.output_tokens AS output_tokens,
    nullif(r.session_id, '') AS session_id,
    nullif(r.turn_id, '') AS turn_id,
    r.recorded_at AS evaluated_at
FROM (
    SELECT
        *,
        scores -> ('$."' || scoring_function || '"') AS score_row
    FROM (
        SELECT
            *,
            unnest(json_keys(scores)) AS scoring_function
        FROM views.evaljob_rows
    )
) AS r
LEFT JOIN views.evaljob_changes AS j
    ON r.benchmark_id = j.benchmark_id AND r.job_id = j.job_id AND j.change = 'scheduled';
