-- benchmark_id, job_id of the jobs that have not ended, oldest first.
SELECT
    benchmark_id,
    job_id
FROM now.evaljob_changes
GROUP BY benchmark_id, job_id
HAVING
    bool_or(change = 'scheduled')
    AND NOT bool_or(change IN ('completed', 'failed', 'cancelled'))
ORDER BY min(position);
