-- What was counted in each bucket by streams that send differences. A point that was sent twice counts once.
SELECT
    stream_id,
    coalesce($at, time_ns // $step * $step // 1000000000) AS at_s,
    sum(value),
    count(*),
    max(time_ns)
FROM (
    SELECT
        stream_id,
        time_ns,
        start_ns,
        any_value(value) AS value
    FROM now.metric_points
    WHERE stream_id IN (SELECT unnest($streams)) AND time_ns >= $begin AND time_ns < $until
    GROUP BY ALL
)
GROUP BY ALL
LIMIT $limit;
