-- The last point of each stream of histograms between two times: as `histogram_points`.
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
WHERE
    (stream_id, time_ns) IN (
        SELECT
            stream_id,
            max(time_ns)
        FROM now.metric_histograms
        WHERE stream_id IN (SELECT unnest($streams)) AND time_ns >= $since AND time_ns < $begin
        GROUP BY stream_id
    );
