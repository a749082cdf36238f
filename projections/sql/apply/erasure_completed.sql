-- on: erasure.completed
INSERT INTO now.erasure_runs BY NAME
SELECT
    position,
    recorded_at AS recorded_us,
    (state ->> '$.until')::BIGINT AS until,
    state ->> '$.spans' AS spans,
    state ->> '$.removed' AS removed
FROM batch
WHERE name = 'erasure.completed';
