-- The turns that have not ended. Small, so that an event of a turn finds its session without a scan.
CREATE TABLE now.turns_now (
    position BIGINT NOT NULL,
    started_at TIMESTAMP NOT NULL,
    turn_id VARCHAR NOT NULL,
    session_id VARCHAR NOT NULL,
    agent_id VARCHAR NOT NULL,
    attempt INTEGER NOT NULL,
    owner_node VARCHAR NOT NULL,
    owner_boot VARCHAR NOT NULL
);
