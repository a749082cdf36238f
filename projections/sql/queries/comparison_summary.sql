-- Of two jobs of a benchmark and one function: rows that are better, worse, changed, the same; then over the rows
-- with a number on both sides: count, mean of the first, mean of the second, mean and sum of squares about the mean
-- of the differences, whether all scores are 0 or 1, and then how many rows are 1 in both, in the first only, in
-- the second only.
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
    count(*) FILTER (change = 'better'),
    count(*) FILTER (change = 'worse'),
    count(*) FILTER (change = 'changed'),
    count(*) FILTER (change = 'same'),
    count(score_b - score_a),
    avg(score_a) FILTER (score_b IS NOT NULL),
    avg(score_b) FILTER (score_a IS NOT NULL),
    avg(score_b - score_a),
    coalesce(var_pop(score_b - score_a) * count(score_b - score_a), 0),
    coalesce(bool_and(score_a IN (0, 1) AND score_b IN (0, 1)), false),
    count(*) FILTER (score_a = 1 AND score_b = 1),
    count(*) FILTER (score_a = 1 AND score_b = 0),
    count(*) FILTER (score_a = 0 AND score_b = 1)
FROM pairs;
