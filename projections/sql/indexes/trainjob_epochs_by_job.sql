-- The rows of one job.
CREATE INDEX trainjob_epochs_by_job ON now.trainjob_epochs (job_uuid);
