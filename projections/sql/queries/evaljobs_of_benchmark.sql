-- job_id, latest change, position of its start: the jobs of a benchmark in the order of scheduling.
SELECT
    job_id,
    arg_max(change, position) FILTER (change <> 'cancel_requested'),
    min(position)
FROM now.evaljob_changes
WHERE benchmark_id = $benchmark_id AND position <= $as_of
GROUP BY job_id
HAVING bool_or(change = 'scheduled') AND min(position) > $after
ORDER BY min(position)
LIMIT $row_count OFFSET $start_index;
