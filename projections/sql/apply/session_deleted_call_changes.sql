-- on: session.deleted
-- Nothing of the calls of a deleted session stays.
DELETE FROM now.call_changes
WHERE session_id IN (SELECT id FROM batch WHERE name = 'session.deleted');
