-- The rows that are better, worse or changed: row_number, change, score rows and generations of the first and the second
-- job. Those that are worse come first.
SELECT
    row_number,
    change,
    score_row_a,
    score_row_b,
    generation_a,
    generation_b
FROM now.evaljob_pairs
WHERE
    benchmark_id = $benchmark_id
    AND job_a = $job_a
    AND job_b = $job_b
    AND scoring_function = $scoring_function
    AND change <> 'same'
ORDER BY change = 'worse' DESC, change = 'better' DESC, row_number
LIMIT $row_count OFFSET $start_index;
