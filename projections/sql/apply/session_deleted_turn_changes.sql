-- on: session.deleted
-- Nothing of the turns of a deleted session stays.
DELETE FROM now.turn_changes
WHERE session_id IN (SELECT id FROM batch WHERE name = 'session.deleted');
