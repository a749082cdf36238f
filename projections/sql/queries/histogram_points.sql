-- Points of histograms and summaries as they came.
SELECT
    stream_id,
    time_ns,
    start_ns,
    count,
    total,
    bounds,
    counts,
    scale,
    zero_count,
    zero_threshold,
    positive_offset,
    positive_counts,
    negative_offset,
    negative_counts
FROM now.metric_histograms
WHERE stream_id IN (SELECT unnest($streams)) AND time_ns >= $begin AND time_ns < $until
LIMIT $limit;
