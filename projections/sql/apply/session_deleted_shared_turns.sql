-- on: session.deleted
-- A deleted session refers to no turn.
DELETE FROM now.shared_turns
WHERE session_id IN (SELECT id FROM batch WHERE name = 'session.deleted');
