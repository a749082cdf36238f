-- job_uuid, position of its first event: training jobs in the order of scheduling.
SELECT
    job_uuid,
    position
FROM now.trainjob_changes
WHERE change = 'scheduled' AND position > $after AND position <= $as_of
ORDER BY position
LIMIT $row_count OFFSET $start_index;
