-- Steps of tools in turns with input shields whose results these have judged and not refused: the next step to end says so.

SELECT
    f.turn_id,
    f.step_id
FROM (
    SELECT
        e.turn_id,
        e.step_id,
        e.step_type,
        lead(e.step_id) OVER (PARTITION BY e.turn_id ORDER BY e.position) AS next_step_id
    FROM views.turn_changes AS e
    INNER JOIN _started_turns AS t ON e.turn_id = t.turn_id AND t.has_input_shields
    WHERE e.change IN ('step_completed', 'step_failed')
) AS f
INNER JOIN _verdicts AS v ON f.turn_id = v.turn_id AND f.next_step_id = v.step_id
WHERE f.step_type = 'tool_execution' AND v.touchpoint = 'tool-result' AND NOT v.is_refused;
