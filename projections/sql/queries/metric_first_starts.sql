-- Of each stream, when the counting of its first point within a time began.
SELECT
    stream_id,
    arg_min(start_ns, time_ns)
FROM (
    SELECT
        stream_id,
        start_ns,
        time_ns
    FROM now.metric_points
    WHERE stream_id IN (SELECT unnest($streams)) AND time_ns >= $begin AND time_ns < $until
    UNION ALL
    SELECT
        stream_id,
        start_ns,
        time_ns
    FROM now.metric_histograms
    WHERE stream_id IN (SELECT unnest($streams)) AND time_ns >= $begin AND time_ns < $until
)
GROUP BY stream_id;
