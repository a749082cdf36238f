-- on: session.deleted
-- Nothing of a deleted session stays but its tombstone.
DELETE FROM now.sessions
WHERE session_id IN (SELECT id FROM batch WHERE name = 'session.deleted');
