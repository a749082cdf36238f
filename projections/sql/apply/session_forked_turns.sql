-- on: session.forked
-- The turns that a fork shares.
INSERT INTO now.shared_turns BY NAME
SELECT
    position,
    id AS session_id,
    unnest(from_json(state -> '$.turns', '["VARCHAR"]')) AS turn_id
FROM batch
WHERE name = 'session.forked';
