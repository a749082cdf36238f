-- The generations of rows 0 to $row_count - 1 as the text of JSON values with commas between, in order; $missing for
-- a row that was not evaluated. Joined here, because 100,000 rows as Python objects hold up everybody else.
SELECT coalesce(string_agg(coalesce(generation::VARCHAR, $missing), ',' ORDER BY number), '')
FROM range($row_count) AS numbers (number)
LEFT JOIN now.evaljob_rows
    ON
        row_number = number
        AND position BETWEEN $first AND $last
        AND benchmark_id = $benchmark_id
        AND job_id = $job_id;
