-- One row per deleted session: who deleted it and when. Nothing of its content is kept.
CREATE TABLE now.session_deletions (
    position BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    session_id VARCHAR NOT NULL,
    actor VARCHAR,
    trace_id VARCHAR
);
