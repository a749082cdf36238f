-- The steps that have started and not ended. Small, so that an ending step finds its start without a scan.
CREATE TABLE now.steps_now (
    position BIGINT NOT NULL,
    started_at TIMESTAMP NOT NULL,
    step_id VARCHAR NOT NULL,
    turn_id VARCHAR NOT NULL,
    session_id VARCHAR NOT NULL,
    agent_id VARCHAR NOT NULL,
    step_type VARCHAR NOT NULL,
    attempt INTEGER NOT NULL,
    model VARCHAR,
    parameters JSON,
    request_digest VARCHAR
);
