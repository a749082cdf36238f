-- change, microseconds, event, position: all that happened to one job but its rows, in order.
SELECT
    change,
    epoch_us(recorded_at),
    event,
    position
FROM now.evaljob_changes
WHERE benchmark_id = $benchmark_id AND job_id = $job_id AND position <= $as_of
ORDER BY position;
