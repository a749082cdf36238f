-- One dataset among many.
CREATE INDEX dataset_changes_by_dataset ON now.dataset_changes (dataset_id);
