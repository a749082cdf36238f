-- One row per session and turn: the turns that a session recorded, and those that a fork shares with the sessions before
-- it. Join sessions and turns through this view; a shared turn is one row of turns, and one row here for each session.
--   session_id | VARCHAR | | Id of the session.
--   turn_id | VARCHAR | | Id of the turn.
--   agent_id | VARCHAR | | Agent of the session.
--   ordinal | BIGINT | | Place of the turn in the session, from 1.
--   is_shared | BOOLEAN | | Whether another session recorded the turn.
--   started_at | TIMESTAMP | UTC | When the turn started.

SELECT
    session_id,
    turn_id,
    agent_id,
    row_number() OVER (PARTITION BY session_id ORDER BY position) AS ordinal,
    is_shared,
    started_at
FROM (
    SELECT
        s.session_id,
        t.turn_id,
        s.agent_id,
        false AS is_shared,
        t.recorded_at AS started_at,
        t.position
    FROM views.turn_changes AS t
    INNER JOIN views.sessions AS s ON t.session_id = s.session_id
    WHERE t.change = 'started'
    UNION ALL
    SELECT
        s.session_id,
        t.turn_id,
        s.agent_id,
        true,
        t.recorded_at,
        t.position
    FROM views.shared_turns AS h
    INNER JOIN views.sessions AS s ON h.session_id = s.session_id
    INNER JOIN views.turn_changes AS t ON h.turn_id = t.turn_id AND t.change = 'started'
)
WHERE agent_id IN (SELECT a.agent_id FROM views.agent_changes AS a);
