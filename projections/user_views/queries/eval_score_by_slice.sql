-- Mean score of a job for each value of a field of the dataset's rows. Rows that the views do not hold are in no slice (NULL).
--   $benchmark_id | VARCHAR | | | Benchmark of the job.
--   $job_id | VARCHAR | | | The job.
--   $slice | VARCHAR | $.category | | JSON path of the field in a row.

SELECT
    d.row ->> $slice AS slice,
    r.scoring_function,
    count(*) AS result_count,
    count(*) FILTER (WHERE r.is_failed) AS failed_count,
    avg(r.score) AS mean_score
FROM eval_results AS r
LEFT JOIN dataset_rows AS d ON r.dataset_id = d.dataset_id AND r.row_number = d.row_number
WHERE r.benchmark_id = $benchmark_id AND r.job_id = $job_id
GROUP BY ALL
ORDER BY r.scoring_function, slice;
