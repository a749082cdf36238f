-- on: session.deleted
-- The turns of a deleted session, as the next statements delete them: all that other sessions do not share, and those that it
-- shared as the last one.
INSERT INTO now.log_events BY NAME
WITH gone AS MATERIALIZED (
    SELECT turn_id
    FROM now.turn_changes
    WHERE
        change = 'started'
        AND session_id IN (SELECT id FROM batch WHERE name = 'session.deleted')
        AND turn_id NOT IN (
            SELECT unnest(from_json(state -> '$.kept', '["VARCHAR"]')) FROM batch WHERE name = 'session.deleted'
        )
    UNION ALL
    SELECT unnest(from_json(state -> '$.freed', '["VARCHAR"]')) FROM batch WHERE name = 'session.deleted'
)

SELECT
    position,
    'turn/' || turn_id AS stream,
    version,
    'turn.' || change AS name,
    coalesce(copied_at, recorded_at) AS recorded_at,
    NULL AS occurred_at,
    TRUE AS is_erased,
    NULL AS event
FROM (
    SELECT position, turn_id, version, change, copied_at, recorded_at
    FROM now.turn_changes
    WHERE turn_id IN (SELECT turn_id FROM gone)
    UNION ALL
    SELECT position, turn_id, version, change, copied_at, recorded_at
    FROM now.call_changes
    WHERE turn_id IN (SELECT turn_id FROM gone)
);

UPDATE now.log_events
SET event = NULL, is_erased = TRUE
WHERE
    name = 'turn.tools_resolved'
    AND NOT is_erased
    AND stream IN (SELECT stream FROM now.log_events WHERE is_erased AND name = 'turn.started');
