-- on: session.deleted
-- The tombstone of a session.
INSERT INTO now.session_deletions BY NAME
SELECT
    position,
    make_timestamp(recorded_at) AS recorded_at,
    id AS session_id,
    state ->> '$.actor' AS actor,
    state ->> '$.trace_id' AS trace_id
FROM batch
WHERE name = 'session.deleted';
