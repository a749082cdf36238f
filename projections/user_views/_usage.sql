-- The inferences that were completed, each once: of one that was copied with its turn the earliest that is left. Rows of a
-- session go when it is deleted; until those of a deleted agent are, its turns are left out here.

WITH copied AS MATERIALIZED (
    SELECT
        e.turn_id,
        e.step_id,
        e.position
    FROM views.turn_changes AS e
    WHERE e.change = 'step_completed' AND e.turn_id IN (SELECT t.turn_id FROM views.turn_changes AS t WHERE t.change = 'started' AND t.copied_at IS NOT NULL)
),

repeated AS (
    SELECT
        c.turn_id,
        c.step_id
    FROM copied AS c
    INNER JOIN (
        SELECT
            o.step_id,
            min(o.position) AS position
        FROM views.turn_changes AS o
        WHERE o.change = 'step_completed' AND o.step_id IN (SELECT d.step_id FROM copied AS d)
        GROUP BY o.step_id
    ) AS f
        ON c.step_id = f.step_id AND c.position > f.position
)

SELECT
    e.step_id,
    e.turn_id,
    e.session_id,
    e.agent_id,
    e.agent_version,
    e.model,
    e.recorded_at,
    e.input_tokens,
    e.output_tokens,
    e.cached_tokens,
    e.cost_usd,
    nullif(e.trace_id, '') AS trace_id
FROM _priced AS e
LEFT JOIN repeated AS c ON e.turn_id = c.turn_id AND e.step_id = c.step_id
WHERE
    e.change = 'step_completed'
    AND e.step_type = 'inference'
    AND c.step_id IS NULL
    AND NOT EXISTS (
        SELECT 1
        FROM views.agent_deletions AS d
        INNER JOIN views.sessions AS s ON d.agent_id = s.agent_id
        WHERE d.agent_id = e.agent_id
    );
