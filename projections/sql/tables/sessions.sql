-- One row per session that exists. Times are UTC.
CREATE TABLE now.sessions (
    position BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    session_id VARCHAR NOT NULL,
    agent_id VARCHAR NOT NULL,
    session_name VARCHAR NOT NULL,
    actor VARCHAR,
    trace_id VARCHAR
);
