-- One row for each turn that a fork shares with the sessions before it. Its rows are those of the session that recorded it.
CREATE TABLE now.shared_turns (
    position BIGINT NOT NULL,
    session_id VARCHAR NOT NULL,
    turn_id VARCHAR NOT NULL
);
