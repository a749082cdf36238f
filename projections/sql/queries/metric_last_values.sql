-- The last value of each stream in each bucket: stream, beginning of the bucket in seconds, value, number of points, time
-- of the last one.
SELECT
    stream_id,
    coalesce($at, time_ns // $step * $step // 1000000000) AS at_s,
    arg_max({'float': value, 'whole': whole}, time_ns) AS last,
    count(*),
    max(time_ns)
FROM now.metric_points
WHERE stream_id IN (SELECT unnest($streams)) AND time_ns >= $begin AND time_ns < $until
GROUP BY ALL
LIMIT $limit;
