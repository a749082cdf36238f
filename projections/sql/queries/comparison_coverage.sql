-- Of two jobs of a benchmark: rows evaluated in both with the same input, in both with another input, only in the
-- first, only in the second.
WITH
a AS (
    SELECT row_number, input_digest
    FROM now.evaljob_rows
    WHERE benchmark_id = $benchmark_id AND job_id = $job_a
),
b AS (
    SELECT row_number, input_digest
    FROM now.evaljob_rows
    WHERE benchmark_id = $benchmark_id AND job_id = $job_b
)
SELECT
    count(*) FILTER (a.input_digest = b.input_digest),
    count(*) FILTER (a.input_digest <> b.input_digest),
    count(*) FILTER (b.row_number IS NULL),
    count(*) FILTER (a.row_number IS NULL)
FROM a
FULL OUTER JOIN b ON a.row_number = b.row_number;
