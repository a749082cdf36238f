-- The rows that are better, worse or changed: row_number, change, score rows and generations of the first and the second
-- job. Those that are worse come first.
WITH
a AS (
    SELECT *
    FROM now.evaljob_scores
    WHERE benchmark_id = $benchmark_id AND job_id = $job_a AND scoring_function = $scoring_function
),
b AS (
    SELECT *
    FROM now.evaljob_scores
    WHERE benchmark_id = $benchmark_id AND job_id = $job_b AND scoring_function = $scoring_function
),
pairs AS (
    SELECT
        a.row_number AS row_number,
        a.score AS score_a,
        b.score AS score_b,
        a.score_row AS score_row_a,
        b.score_row AS score_row_b,
        a.generation AS generation_a,
        b.generation AS generation_b,
        CASE
            WHEN b.score > a.score THEN 'better'
            WHEN b.score < a.score THEN 'worse'
            WHEN
                a.generated_answer IS DISTINCT FROM b.generated_answer
                OR a.score_row ->> '$.score' IS DISTINCT FROM b.score_row ->> '$.score'
                THEN 'changed'
            ELSE 'same'
        END AS change
    FROM a
    INNER JOIN b ON a.row_number = b.row_number AND a.input_digest = b.input_digest
)
SELECT
    row_number,
    change,
    score_row_a,
    score_row_b,
    generation_a,
    generation_b
FROM pairs
WHERE change <> 'same'
ORDER BY change = 'worse' DESC, change = 'better' DESC, row_number
LIMIT $row_count OFFSET $start_index;
