-- job_id, latest change: the jobs of a benchmark in the order of scheduling.
SELECT
    job_id,
    arg_max(change, position) FILTER (change <> 'cancel_requested')
FROM now.evaljob_changes
WHERE benchmark_id = $benchmark_id AND position <= $as_of
GROUP BY job_id
HAVING bool_or(change = 'scheduled')
ORDER BY min(position)
LIMIT $row_count OFFSET $start_index;
