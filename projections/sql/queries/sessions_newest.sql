-- session_id, agent_id, session_name, parent, microseconds of its creation, order: the sessions of all agents, newest
-- first by creation, or with `is_active` by their last event. `words` are searched in names, in ids and in the first
-- messages of turns, without regard to case.
SELECT
    s.session_id,
    s.agent_id,
    s.session_name,
    s.parent,
    epoch_us(s.recorded_at),
    CASE WHEN $is_active THEN greatest(s.position, coalesce(t.position, 0)) ELSE s.position END AS newest
FROM now.sessions AS s
LEFT JOIN (
    SELECT
        session_id,
        max(position) AS position
    FROM now.turn_changes
    WHERE $is_active
    GROUP BY session_id
) AS t
    ON s.session_id = t.session_id
WHERE
    s.agent_id IN (SELECT agent_id FROM now.agent_changes)
    AND ($agent_id = '' OR s.agent_id = $agent_id)
    AND newest < $before
    AND (
        $words = ''
        OR contains(lower(s.session_name), $words)
        OR s.session_id = $words
        OR s.agent_id = $words
        OR s.session_id IN (
            SELECT session_id
            FROM now.turn_changes
            WHERE
                $words <> ''
                AND (
                    turn_id = $words
                    OR (
                        change = 'started'
                        AND contains(lower(event::VARCHAR), $words)
                        AND contains(lower((event -> '$.input_messages')::VARCHAR), $words)
                    )
                )
        )
    )
ORDER BY newest DESC
LIMIT $row_count;
