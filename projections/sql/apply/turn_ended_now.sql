-- on: turn.completed.1, turn.failed.1, turn.cancelled.1, turn.abandoned.1
-- An ended turn is no longer open.
DELETE FROM now.turns_now
WHERE turn_id IN (
    SELECT id FROM batch WHERE name IN ('turn.completed.1', 'turn.failed.1', 'turn.cancelled.1', 'turn.abandoned.1')
);
