-- Points of histograms, exponential histograms and summaries, in the order of arrival.
--   number      as that of spans
--   total       the sum of all values, NULL where it was not sent
--   bounds      upper limits of the buckets but the last, which has none; of a summary its quantiles
--   counts      how many values lie in each bucket; NULL for a summary
--   quantiles   of a summary: the values at `bounds`
--   scale, zero_count, positive_offset, positive_counts, negative_offset, negative_counts: of an exponential histogram
CREATE TABLE now.metric_histograms (
    stream_id INTEGER NOT NULL,
    time_ns BIGINT NOT NULL,
    start_ns BIGINT NOT NULL,
    count UBIGINT NOT NULL,
    total DOUBLE,
    minimum DOUBLE,
    maximum DOUBLE,
    bounds DOUBLE[],
    counts UBIGINT[],
    quantiles DOUBLE[],
    scale INTEGER,
    zero_count UBIGINT,
    zero_threshold DOUBLE,
    positive_offset INTEGER,
    positive_counts UBIGINT[],
    negative_offset INTEGER,
    negative_counts UBIGINT[],
    number BIGINT NOT NULL DEFAULT 0
);
