-- Deletions of `id`, and of the sessions that went with an agent of that id, each with the first run that finished it.
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
    EXISTS (SELECT 1 FROM now.sessions AS s WHERE e.kind = 'agent' AND s.agent_id = e.id) AS has_more
FROM now.erasures AS e
ASOF LEFT JOIN now.erasure_runs AS r ON e.position <= r.until
WHERE e.id = $id OR (e.agent_id = $id AND $id IN (SELECT id FROM now.erasures WHERE kind = 'agent'))
ORDER BY e.position;
