-- Events that could not be applied; the engine went on without them.
CREATE TABLE now.failed_events (
    position BIGINT NOT NULL,
    stream VARCHAR NOT NULL,
    name VARCHAR NOT NULL,
    error VARCHAR NOT NULL
);
