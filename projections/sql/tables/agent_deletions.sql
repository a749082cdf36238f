-- One row per deleted agent: who deleted it and when. Nothing of its content is kept.
CREATE TABLE now.agent_deletions (
    position BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    agent_id VARCHAR NOT NULL,
    actor VARCHAR,
    trace_id VARCHAR
);
