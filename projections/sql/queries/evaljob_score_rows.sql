-- The same as `evaljob_generations` for the score rows of one function; $path is its place in `scores`.
SELECT coalesce(string_agg(coalesce((scores -> $path)::VARCHAR, $missing), ',' ORDER BY number), '')
FROM range($row_count) AS numbers (number)
LEFT JOIN now.evaljob_rows
    ON
        row_number = number
        AND position BETWEEN $first AND $last
        AND benchmark_id = $benchmark_id
        AND job_id = $job_id;
