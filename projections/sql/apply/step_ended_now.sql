-- on: turn.step_completed.1, turn.step_failed.1
-- An ended step is no longer open.
DELETE FROM now.steps_now
WHERE (turn_id, step_id) IN (
    SELECT
        id,
        state ->> '$.step_id'
    FROM batch
    WHERE name IN ('turn.step_completed.1', 'turn.step_failed.1')
);
