-- on: agent.deleted
-- Nothing of a deleted agent stays. Its sessions follow with their own events.
DELETE FROM now.agent_changes
WHERE agent_id IN (SELECT id FROM batch WHERE name = 'agent.deleted');
