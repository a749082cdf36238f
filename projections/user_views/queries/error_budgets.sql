-- The error budget of each agent over the last hour, 6 hours, 3 days and 30 days: turns that failed, against the share that may.
-- A burn rate of 1 uses the budget up exactly by the end of the time; the highest first.
--   $allowed_share | DOUBLE | 0.01 | | Share of turns that may fail: 0.01 for a target of 99 %.
--   $until | TIMESTAMP | now | UTC | End of all times; now, or a time.

WITH ends AS (
    SELECT if($until = 'now', now()::TIMESTAMP, try_cast($until AS TIMESTAMP)) AS until_at
),

periods AS (
    SELECT
        unnest(['1 hour', '6 hours', '3 days', '30 days']) AS period,
        unnest([INTERVAL 1 HOUR, INTERVAL 6 HOUR, INTERVAL 3 DAY, INTERVAL 30 DAY]) AS length
),

ended AS (
    SELECT
        agent_id,
        status,
        ended_at
    FROM turns
    WHERE status IN ('completed', 'failed')
)

SELECT
    t.agent_id,
    p.period,
    count(*) AS turns,
    count(*) FILTER (WHERE t.status = 'failed') AS failed_turns,
    count(*) FILTER (WHERE t.status = 'failed') / count(*) AS failed_share,
    failed_share / $allowed_share AS burn_rate,
    1 - failed_share / $allowed_share AS budget_left_share
FROM ended AS t
CROSS JOIN ends AS e
INNER JOIN periods AS p ON t.ended_at > e.until_at - p.length AND t.ended_at <= e.until_at
GROUP BY t.agent_id, p.period, p.length
ORDER BY burn_rate DESC, t.agent_id, p.length;
