-- As `histogram_increases`, for histograms that send differences. A point that was sent twice counts once.
SELECT
    stream_id,
    coalesce($at, time_ns // $step * $step // 1000000000) AS at_s,
    sum(count)::DOUBLE,
    sum(total),
    count(*),
    max(time_ns)
FROM (
    SELECT
        stream_id,
        time_ns,
        start_ns,
        any_value(count) AS count,
        any_value(total) AS total
    FROM now.metric_histograms
    WHERE stream_id IN (SELECT unnest($streams)) AND time_ns >= $begin AND time_ns < $until
    GROUP BY ALL
)
GROUP BY ALL
LIMIT $limit;
