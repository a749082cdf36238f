-- What one sender sends under one name: points of a stream follow one another.
--   kind        gauge, sum, histogram, exponential_histogram, summary
--   temporality delta, cumulative; NULL for gauges and summaries
--   labels      the attributes of its points, JSON text
--   identity    a hash of all that tells it from others, by which its points are known when they arrive
CREATE TABLE now.metric_streams (
    stream_id INTEGER NOT NULL,
    name VARCHAR NOT NULL,
    description VARCHAR,
    unit VARCHAR NOT NULL,
    kind VARCHAR NOT NULL,
    temporality VARCHAR,
    is_monotonic BOOLEAN NOT NULL,
    labels VARCHAR NOT NULL,
    resource_id UBIGINT NOT NULL,
    scope_id UBIGINT NOT NULL,
    identity UBIGINT NOT NULL DEFAULT 0
);
