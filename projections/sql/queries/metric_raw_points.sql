-- Points as they came: stream, time, value, whole value.
SELECT
    stream_id,
    time_ns,
    value,
    whole
FROM now.metric_points
WHERE stream_id IN (SELECT unnest($streams)) AND time_ns >= $begin AND time_ns < $until
LIMIT $limit;
