-- The last point of each stream between two times: stream, time, start, value, whole value.
SELECT
    stream_id,
    last.time_ns,
    last.start_ns,
    last.value,
    last.whole
FROM (
    SELECT
        stream_id,
        arg_max({'time_ns': time_ns, 'start_ns': start_ns, 'value': value, 'whole': whole}, time_ns) AS last
    FROM now.metric_points
    WHERE stream_id IN (SELECT unnest($streams)) AND time_ns >= $since AND time_ns < $begin
    GROUP BY stream_id
);
