-- One row per change of a dataset that exists, in the order of the log: each is a version of it. Times are UTC.
--   change        registered, rows_appended
--   first_row     how many rows there were before
--   chunk_counts  rows of each chunk of the change
--   chunk_blobs   the blob of each chunk, '' for rows that are in the event itself
--   event         the recorded event, of changes that can hold some of the first 100 rows
CREATE TABLE now.dataset_changes (
    position BIGINT NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    dataset_id VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    change VARCHAR NOT NULL,
    first_row BIGINT NOT NULL,
    row_count BIGINT NOT NULL,
    chunk_counts BIGINT[] NOT NULL,
    chunk_blobs VARCHAR[] NOT NULL,
    actor VARCHAR,
    trace_id VARCHAR,
    event JSON
);
