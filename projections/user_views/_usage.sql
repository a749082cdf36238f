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
    SELECT c.position
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
WHERE
    e.change = 'step_completed'
    AND e.step_type = 'inference'
    -- Joins would read the ids of all steps: sums over a million of them take 127 ms with these, and 50 ms without.
    AND e.position NOT IN (SELECT c.position FROM repeated AS c)
    AND coalesce(e.agent_id, '') NOT IN (
        SELECT d.agent_id
        FROM views.agent_deletions AS d
        INNER JOIN views.sessions AS s ON d.agent_id = s.agent_id
    );
