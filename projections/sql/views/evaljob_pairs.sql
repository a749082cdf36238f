-- One row per row that two jobs of a benchmark evaluated with the same input, and scoring function: whether the second
-- job (b) is better, worse or changed against the first (a), or the same.
CREATE VIEW now.evaljob_pairs AS
SELECT
    a.benchmark_id AS benchmark_id,
    a.job_id AS job_a,
    b.job_id AS job_b,
    a.scoring_function AS scoring_function,
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
FROM now.evaljob_scores AS a
INNER JOIN now.evaljob_scores AS b
    ON
        a.benchmark_id = b.benchmark_id
        AND a.scoring_function = b.scoring_function
        AND a.row_number = b.row_number
        AND a.input_digest = b.input_digest;
