-- The rows of one job.
CREATE INDEX trainjob_changes_by_job ON now.trainjob_changes (job_uuid);
