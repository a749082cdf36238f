-- All that happened to one turn, in order: change, turn_id, step_id, step_type, microseconds, session_id, event,
-- tokens in and out, agent_id (NULL if its session was deleted), position.
-- `OFFSET 0` keeps other conditions out of the scan: with more than one DuckDB reads the whole table, without its index.
SELECT
    change,
    turn_id,
    step_id,
    step_type,
    epoch_us(recorded_at),
    session_id,
    event,
    input_tokens,
    output_tokens,
    CASE WHEN is_kept THEN NULL ELSE agent_id END,
    position
FROM (SELECT * FROM now.turn_changes WHERE turn_id = $turn_id OFFSET 0)
WHERE
    position <= $as_of
    AND EXISTS (SELECT 1 FROM now.agent_changes AS a WHERE a.agent_id = $agent_id)
ORDER BY position;
