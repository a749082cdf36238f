-- The turns that have not ended, oldest first: ids, microseconds of the start, attempt and owner.
SELECT
    turn_id,
    session_id,
    agent_id,
    epoch_us(started_at),
    attempt,
    owner_node,
    owner_boot,
    position
FROM now.turns_now
ORDER BY position;
