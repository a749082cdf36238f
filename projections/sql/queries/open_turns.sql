-- The turns that have not ended, oldest first: ids, microseconds of the start, attempt, latest owner, position, version of
-- the agent, and of their inferences the steps and models.
SELECT
    turn_id,
    any_value(session_id),
    any_value(agent_id),
    epoch_us(min(recorded_at)),
    max(coalesce((event ->> '$.attempt')::INTEGER, 1)),
    arg_max(event ->> '$.owner.node', position) FILTER (change <> 'step_started'),
    arg_max(event ->> '$.owner.boot', position) FILTER (change <> 'step_started'),
    min(position),
    any_value(agent_version) FILTER (change = 'started'),
    list((step_id, model)) FILTER (change = 'step_started' AND model IS NOT NULL)
FROM now.turn_changes
WHERE
    change IN ('started', 'restarted', 'resumed', 'step_started')
    AND turn_id IN (
        SELECT turn_id FROM now.turn_changes WHERE change = 'started'
        EXCEPT
        SELECT turn_id FROM now.turn_changes WHERE change IN ('completed', 'failed', 'cancelled', 'abandoned')
    )
GROUP BY turn_id
ORDER BY min(position);
