-- What was counted in each bucket by streams that send totals: stream, beginning of the bucket in seconds, increase, number
-- of points, time of the last one, and whether a point before `since` is missing to tell. `before_*` hold such points.
-- A total that fell, or whose counting restarted, has been counted from zero; so has a first one that says when counting
-- began. A first one that does not say so is only what the next one is compared with.
WITH points AS (
    SELECT
        stream_id,
        time_ns,
        start_ns,
        value,
        whole
    FROM now.metric_points
    WHERE stream_id IN (SELECT unnest($streams)) AND time_ns >= $since AND time_ns < $until
    UNION ALL
    SELECT
        unnest($before_streams::INTEGER[]),
        unnest($before_times::BIGINT[]),
        unnest($before_starts::BIGINT[]),
        unnest($before_values::DOUBLE[]),
        unnest($before_wholes::BIGINT[])
),

pairs AS (
    SELECT
        *,
        lag(start_ns) OVER follow AS start_before,
        lag(value) OVER follow AS value_before,
        lag(whole) OVER follow AS whole_before
    FROM points
    WINDOW follow AS (PARTITION BY stream_id ORDER BY time_ns)
)

SELECT
    stream_id,
    coalesce($at, time_ns // $step * $step // 1000000000) AS at_s,
    sum(
        CASE
            WHEN start_before IS NULL THEN CASE WHEN start_ns = 0 THEN 0 ELSE value END
            WHEN start_ns <> start_before OR value < value_before THEN value
            ELSE coalesce((whole::HUGEINT - whole_before)::DOUBLE, value - value_before)
        END
    ),
    count(*),
    max(time_ns),
    bool_or(start_before IS NULL AND start_ns < $since)
FROM pairs
WHERE time_ns >= $begin
GROUP BY ALL
LIMIT $limit;
