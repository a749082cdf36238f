-- One row each time the content of deletions had left all files.
--   until   the position of the log up to which that is so
--   spans   JSON object: spans that lost captured messages, by the id of what was deleted
--   removed JSON array: names of what was removed whole
CREATE TABLE now.erasure_runs (
    position BIGINT NOT NULL,
    recorded_us BIGINT NOT NULL,
    until BIGINT NOT NULL,
    spans VARCHAR,
    removed VARCHAR
);
