-- on: *
INSERT INTO now.log_events BY NAME
SELECT
    position,
    substr(stream, instr(stream, '/') + 1) AS stream,
    version,
    CASE WHEN name = 'erased' THEN state ELSE name END AS name,
    make_timestamp(logged_at) AS recorded_at,
    CASE WHEN logged_at <> recorded_at THEN make_timestamp(recorded_at) END AS occurred_at,
    name = 'erased' AS is_erased,
    CASE WHEN name <> 'erased' THEN state END AS event
FROM batch
WHERE name NOT LIKE 'turn.%' OR name = 'turn.tools_resolved';
