-- Of one job: rows that are done, rows that failed, tokens in and out (NULL where unknown), the highest row number (-1 for none).
-- The job's positions bound the scan: of 10 M rows it looks at those row groups only.
SELECT
    count(*),
    count(*) FILTER (failed),
    sum(input_tokens)::BIGINT,
    sum(output_tokens)::BIGINT,
    coalesce(max(row_number), -1)
FROM now.evaljob_rows
WHERE
    position BETWEEN $first AND $last
    AND benchmark_id = $benchmark_id
    AND job_id = $job_id;
