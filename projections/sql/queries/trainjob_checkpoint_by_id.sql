-- path, kind, job_uuid of the checkpoint with this name; the newest one if it was saved twice.
SELECT
    path,
    kind,
    job_uuid
FROM now.trainjob_checkpoints
WHERE identifier = $identifier
ORDER BY position DESC
LIMIT 1;
