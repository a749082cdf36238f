-- Deletions of `id`, and of the sessions that went with an agent of that id, each with the first run that finished it
-- and the number of turns that it kept and that other sessions still share.
SELECT
    e.kind,
    e.id,
    e.recorded_us,
    e.events,
    e.blobs,
    e.turns,
    e.jobs,
    r.recorded_us AS completed_us,
    r.spans,
    r.removed,
    EXISTS (SELECT 1 FROM now.sessions AS s WHERE e.kind = 'agent' AND s.agent_id = e.id) AS has_more,
    coalesce(k.kept, 0) AS kept
FROM now.erasures AS e
ASOF LEFT JOIN now.erasure_runs AS r ON e.position <= r.until
LEFT JOIN (
    SELECT
        o.position,
        count(*) AS kept
    FROM (SELECT position, unnest(kept) AS turn_id FROM now.erasures) AS o
    INNER JOIN now.turn_changes AS t ON o.turn_id = t.turn_id AND t.change = 'started'
    GROUP BY o.position
) AS k ON e.position = k.position
WHERE e.id = $id OR (e.agent_id = $id AND $id IN (SELECT id FROM now.erasures WHERE kind = 'agent'))
ORDER BY e.position;
