-- The verdicts of shields, one row per completed step of them. An objection that is neither info nor warn refuses the text.

SELECT
    s.turn_id,
    s.step_id,
    s.event ->> '$.touchpoint' AS touchpoint,
    coalesce(e.event ->> '$.violation.level', 'info') NOT IN ('info', 'warn') AS is_refused,
    e.position
FROM views.turn_changes AS s
INNER JOIN views.turn_changes AS e ON s.turn_id = e.turn_id AND s.step_id = e.step_id AND e.change = 'step_completed'
WHERE s.change = 'step_started' AND s.step_type = 'shield_call';
