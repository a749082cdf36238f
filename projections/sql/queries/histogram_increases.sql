-- What was counted in each bucket of time by histograms and summaries that send totals: stream, beginning in seconds, how
-- many values, their sum (NULL where none is sent), number of points, time of the last one, and whether a point before
-- `since` is missing to tell. As `metric_increases`.
WITH points AS (
    SELECT
        stream_id,
        time_ns,
        start_ns,
        count,
        total
    FROM now.metric_histograms
    WHERE stream_id IN (SELECT unnest($streams)) AND time_ns >= $since AND time_ns < $until
    UNION ALL
    SELECT
        unnest($before_streams::INTEGER[]),
        unnest($before_times::BIGINT[]),
        unnest($before_starts::BIGINT[]),
        unnest($before_counts::UBIGINT[]),
        unnest($before_totals::DOUBLE[])
),

pairs AS (
    SELECT
        *,
        lag(start_ns) OVER follow AS start_before,
        lag(count) OVER follow AS count_before,
        lag(total) OVER follow AS total_before
    FROM points
    WINDOW follow AS (PARTITION BY stream_id ORDER BY time_ns)
),

increases AS (
    SELECT
        stream_id,
        time_ns,
        start_before IS NULL AND start_ns < $since AS is_missing,
        CASE
            WHEN start_before IS NOT NULL AND start_ns = start_before AND count >= count_before THEN 'more'
            WHEN start_before IS NULL AND start_ns = 0 THEN 'first'
            ELSE 'restarted'
        END AS how,
        CASE how WHEN 'more' THEN count - count_before WHEN 'restarted' THEN count ELSE 0 END AS count,
        CASE how WHEN 'more' THEN total - total_before WHEN 'restarted' THEN total ELSE 0 END AS total
    FROM pairs
)

SELECT
    stream_id,
    coalesce($at, time_ns // $step * $step // 1000000000) AS at_s,
    sum(count)::DOUBLE,
    sum(total),
    count(*),
    max(time_ns),
    bool_or(is_missing)
FROM increases
WHERE time_ns >= $begin
GROUP BY ALL
LIMIT $limit;
