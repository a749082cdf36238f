-- The session (change = 'session', its name as the event, its parent as the step) and after it the rows of the turns that
-- it recorded, as in `turn_rows` but without ids that are known: each column of 1,000 scattered rows costs 0.5 ms.
-- They are in no order: to sort 20 rows here costs 0.5 ms, and in Python nothing. The last column is the position.
-- `OFFSET 0` keeps other conditions out of the scan: with more than one DuckDB reads the whole table, without its index.
SELECT
    'session' AS change,
    session_id AS turn_id,
    parent AS step_id,
    NULL AS step_type,
    epoch_us(recorded_at) AS recorded_us,
    session_id,
    session_name AS event,
    NULL AS input_tokens,
    NULL AS output_tokens,
    agent_id,
    position
FROM (SELECT * FROM now.sessions WHERE session_id = $session_id OFFSET 0)
WHERE
    agent_id = $agent_id
    AND position <= $as_of
    AND EXISTS (SELECT 1 FROM now.agent_changes AS a WHERE a.agent_id = $agent_id)
UNION ALL
SELECT
    change,
    turn_id,
    step_id,
    step_type,
    epoch_us(recorded_at),
    NULL,
    event::VARCHAR,
    input_tokens,
    output_tokens,
    NULL,
    position
FROM (SELECT * FROM now.turn_changes WHERE session_id = $session_id OFFSET 0)
WHERE
    position <= $as_of
    AND ($turn_ids IS NULL OR list_contains($turn_ids, turn_id));
