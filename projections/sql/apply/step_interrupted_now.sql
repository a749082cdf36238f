-- on: turn.restarted.1, turn.completed.1, turn.failed.1, turn.cancelled.1
-- An interrupted step is no longer open.
DELETE FROM now.steps_now
WHERE EXISTS (
    SELECT 1
    FROM batch AS b
    WHERE
        b.id = steps_now.turn_id
        AND b.position > steps_now.position
        AND b.name IN ('turn.restarted.1', 'turn.completed.1', 'turn.failed.1', 'turn.cancelled.1')
);
