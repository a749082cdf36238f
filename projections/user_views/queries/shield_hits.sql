-- Objections of shields by agent and by what they judged, the most frequent first.

SELECT
    agent_id,
    touchpoint,
    violation ->> '$.level' AS level,
    is_refused,
    count(*) AS hits,
    count(DISTINCT session_id) AS session_count,
    max(ended_at) AS last_hit_at
FROM steps
WHERE step_type = 'shield_call' AND violation IS NOT NULL
GROUP BY ALL
ORDER BY hits DESC, agent_id, touchpoint, level;
