-- job_uuid of the training jobs that have not ended, oldest first.
SELECT job_uuid
FROM now.trainjob_changes
GROUP BY job_uuid
HAVING
    bool_or(change = 'scheduled')
    AND NOT bool_or(change IN ('completed', 'failed', 'cancelled'))
ORDER BY min(position);
