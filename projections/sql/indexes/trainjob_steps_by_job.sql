-- The rows of one job.
CREATE INDEX trainjob_steps_by_job ON now.trainjob_steps (job_uuid);
