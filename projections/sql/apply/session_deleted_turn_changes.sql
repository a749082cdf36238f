-- on: session.deleted.1
-- Nothing of a deleted session stays in turn_changes, at whatever position it was written.
DELETE FROM now.turn_changes
WHERE session_id IN (SELECT id FROM batch WHERE name = 'session.deleted.1');
