-- agent_id, config, microseconds of its creation, whether any agent has later versions, position; in the order of
-- creation, without the agents of $unreadable.
-- Rows are inserted in the order of the log and never moved, and a scan with a limit keeps that order
-- (preserve_insertion_order); sorting them again costs 1.7 ms instead of 0.6 ms.
SELECT
    agent_id,
    config,
    epoch_us(recorded_at),
    EXISTS (SELECT 1 FROM now.agent_changes WHERE version > 1),
    position
FROM now.agent_changes
WHERE
    version = 1
    AND position > $after
    AND position <= $as_of
    AND NOT list_contains($unreadable::VARCHAR[], agent_id)
LIMIT $row_count OFFSET $start_index;
