-- on: session.deleted.1
-- Nothing of a deleted session stays in steps_now, at whatever position it was written.
DELETE FROM now.steps_now
WHERE session_id IN (SELECT id FROM batch WHERE name = 'session.deleted.1');
