-- The spans of the server itself that hold captured content and belong to something in `deleted`, each with the id that the
-- first such thing was deleted with. `kept_turns` are not deleted with their session. The parameter is a regular expression
-- that content attributes match, as JSON text.
CREATE OR REPLACE TEMP TABLE captured AS
SELECT
    s.number,
    coalesce(a.owner, c.owner, t.owner, d.owner, b.owner) AS owner
FROM (
    SELECT
        number,
        scope_id,
        start_ns,
        agent_id,
        conversation_id,
        turn_id,
        coalesce(turn_id IN (SELECT turn_id FROM kept_turns), FALSE) AS is_kept,
        attributes ->> '$.dataset_id' AS dataset_id,
        attributes ->> '$.benchmark_id' AS benchmark_id
    FROM (
        SELECT number, scope_id, start_ns, agent_id, conversation_id, turn_id, attributes FROM now.spans_recent
        UNION ALL
        SELECT number, scope_id, start_ns, agent_id, conversation_id, turn_id, attributes FROM now.spans_stored
    )
    WHERE regexp_matches(attributes, ?)
) AS s
LEFT JOIN deleted AS a ON a.kind = 'agent' AND s.agent_id = a.id AND s.start_ns <= a.deleted_ns
LEFT JOIN deleted AS c
    ON c.kind = 'session' AND s.conversation_id = c.id AND s.start_ns <= c.deleted_ns AND NOT s.is_kept
LEFT JOIN deleted AS t ON t.kind = 'turn' AND s.turn_id = t.id AND s.start_ns <= t.deleted_ns
LEFT JOIN deleted AS d ON d.kind = 'dataset' AND s.dataset_id = d.id AND s.start_ns <= d.deleted_ns
LEFT JOIN deleted AS b ON b.kind = 'benchmark' AND s.benchmark_id = b.id AND s.start_ns <= b.deleted_ns
WHERE
    coalesce(a.id, c.id, t.id, d.id, b.id) IS NOT NULL
    AND s.scope_id IN (SELECT scope_id FROM now.telemetry_scopes WHERE name = ?);
