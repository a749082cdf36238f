-- One row per version of an agent that exists, in the order of the log. Times are UTC.
--   version  1 for the created agent
CREATE TABLE now.agent_changes (
    position BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    agent_id VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    name VARCHAR,
    model VARCHAR NOT NULL,
    config JSON NOT NULL,
    actor VARCHAR,
    trace_id VARCHAR
);
