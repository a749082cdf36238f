-- Rows whose score differs between two jobs of a benchmark, those that became worse first. Only rows with the same input.
--   $benchmark_id | VARCHAR | | | Benchmark of the jobs.
--   $job_a | VARCHAR | | | The first job.
--   $job_b | VARCHAR | | | The second job.

SELECT
    a.row_number,
    a.scoring_function,
    CASE WHEN b.score < a.score THEN 'worse' ELSE 'better' END AS change,
    a.score AS score_a,
    b.score AS score_b,
    a.generated_answer AS answer_a,
    b.generated_answer AS answer_b
FROM eval_results AS a
INNER JOIN eval_results AS b
    ON
        a.benchmark_id = b.benchmark_id
        AND a.scoring_function = b.scoring_function
        AND a.row_number = b.row_number
        AND a.input_digest = b.input_digest
WHERE a.benchmark_id = $benchmark_id AND a.job_id = $job_a AND b.job_id = $job_b AND a.score <> b.score
ORDER BY change DESC, a.scoring_function, a.row_number;
