-- on: turn.restarted.1
-- The latest owner of an open turn.
UPDATE now.turns_now
SET attempt = r.attempt, owner_node = r.node, owner_boot = r.boot
FROM (
    SELECT
        id,
        arg_max((state ->> '$.attempt')::INTEGER, position) AS attempt,
        arg_max(state ->> '$.owner.node', position) AS node,
        arg_max(state ->> '$.owner.boot', position) AS boot
    FROM batch
    WHERE name = 'turn.restarted.1'
    GROUP BY id
) AS r
WHERE turns_now.turn_id = r.id;
