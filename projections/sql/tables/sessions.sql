-- One row per session that exists. Times are UTC.
--   parent      the session of which a fork was made; NULL for other sessions
--   root        the session in which the first of all these forks was made
CREATE TABLE now.sessions (
    position BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    session_id VARCHAR NOT NULL,
    agent_id VARCHAR NOT NULL,
    session_name VARCHAR NOT NULL,
    parent VARCHAR,
    root VARCHAR,
    actor VARCHAR,
    trace_id VARCHAR
);
