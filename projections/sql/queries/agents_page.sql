-- agent_id, config, microseconds of its creation, position; in the order of creation.
-- Rows are inserted in the order of the log and never moved, and a scan with a limit keeps that order
-- (preserve_insertion_order); sorting them again costs 1.7 ms instead of 0.6 ms.
SELECT
    agent_id,
    config,
    epoch_us(recorded_at),
    position
FROM now.agents
WHERE position > $after AND position <= $as_of
LIMIT $row_count OFFSET $start_index;
