-- One row per dataset that was unregistered: by whom and when. Nothing of its content is kept.
CREATE TABLE now.dataset_deletions (
    position BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    dataset_id VARCHAR NOT NULL,
    actor VARCHAR,
    trace_id VARCHAR
);
