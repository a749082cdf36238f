-- Of two jobs of a benchmark and one function: rows that are better, worse, changed, the same; then over the rows
-- with a number on both sides: count, mean of the first, mean of the second, mean and sum of squares about the mean
-- of the differences, whether all scores are 0 or 1, and then how many rows are 1 in both, in the first only, in
-- the second only.
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
FROM now.evaljob_pairs
WHERE
    benchmark_id = $benchmark_id
    AND job_a = $job_a
    AND job_b = $job_b
    AND scoring_function = $scoring_function;
