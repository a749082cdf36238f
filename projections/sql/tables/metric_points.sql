-- Points of gauges and sums, in the order of arrival.
--   start_ns    when counting began, 0 where the sender does not say
--   number      as that of spans
--   value       whole numbers above 2^53 lose digits here; `whole` has them, NULL for floats
CREATE TABLE now.metric_points (
    stream_id INTEGER NOT NULL,
    time_ns BIGINT NOT NULL,
    start_ns BIGINT NOT NULL,
    value DOUBLE NOT NULL,
    whole BIGINT,
    number BIGINT NOT NULL DEFAULT 0
);
