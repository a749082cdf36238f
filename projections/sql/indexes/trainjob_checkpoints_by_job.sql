-- The rows of one job.
CREATE INDEX trainjob_checkpoints_by_job ON now.trainjob_checkpoints (job_uuid);
