-- change, microseconds, event, position: all that happened to one job but its steps, epochs and checkpoints, in order.
SELECT
    change,
    epoch_us(recorded_at),
    event,
    position
FROM now.trainjob_changes
WHERE job_uuid = $job_uuid AND position <= $as_of
ORDER BY position;
