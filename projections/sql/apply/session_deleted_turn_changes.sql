-- on: session.deleted
-- Nothing of the turns of a deleted session stays, except for turns that other sessions share; nor of the turns that it
-- shared as the last one. The deletion itself names these, because what other deleted sessions shared is not in the log.
DELETE FROM now.turn_changes
WHERE
    session_id IN (SELECT id FROM batch WHERE name = 'session.deleted')
    AND turn_id NOT IN (
        SELECT unnest(from_json(state -> '$.kept', '["VARCHAR"]')) FROM batch WHERE name = 'session.deleted'
    );

DELETE FROM now.turn_changes
WHERE turn_id IN (
    SELECT unnest(from_json(state -> '$.freed', '["VARCHAR"]')) FROM batch WHERE name = 'session.deleted'
);

UPDATE now.turn_changes
SET is_kept = TRUE
WHERE
    change = 'started'
    AND session_id IN (
        SELECT id FROM batch WHERE name = 'session.deleted' AND json_exists(state, '$.kept')
    );
