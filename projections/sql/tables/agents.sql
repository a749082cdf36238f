-- One row per agent that exists. Times are UTC.
CREATE TABLE now.agents (
    position BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    agent_id VARCHAR NOT NULL,
    name VARCHAR,
    model VARCHAR NOT NULL,
    config JSON NOT NULL,
    actor VARCHAR,
    trace_id VARCHAR
);
