-- The turns that an existing session of an existing agent recorded or shares.

SELECT
    t.turn_id,
    t.session_id,
    t.agent_id,
    t.position,
    t.recorded_at AS started_at,
    t.event,
    t.agent_version,
    t.has_input_shields,
    t.copied_at IS NOT NULL AS is_copy,
    nullif(t.actor, '') AS created_by,
    nullif(t.trace_id, '') AS trace_id
FROM views.turn_changes AS t
WHERE
    t.change = 'started'
    AND (
        (
            t.agent_id IN (SELECT a.agent_id FROM views.agent_changes AS a)
            AND t.session_id IN (SELECT s.session_id FROM views.sessions AS s)
        )
        OR t.turn_id IN (
            SELECT h.turn_id
            FROM views.shared_turns AS h
            INNER JOIN views.sessions AS s ON h.session_id = s.session_id
            WHERE s.agent_id IN (SELECT a.agent_id FROM views.agent_changes AS a)
        )
    );
