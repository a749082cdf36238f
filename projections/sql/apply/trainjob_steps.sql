-- on: trainjob.steps_done
-- A batch of steps becomes a row.
INSERT INTO now.trainjob_steps BY NAME
SELECT
    position,
    make_timestamp(recorded_at) AS recorded_at,
    id AS job_uuid,
    e.epoch AS epoch,
    e.first_step AS first_step,
    e.losses AS losses,
    e.learning_rates AS learning_rates,
    e.tokens AS tokens,
    e.ms AS ms
FROM (
    SELECT
        position,
        recorded_at,
        id,
        json_transform(
            state,
            '{"epoch": "BIGINT", "first_step": "BIGINT", "losses": ["DOUBLE"], "learning_rates": ["DOUBLE"],
              "tokens": ["BIGINT"], "ms": ["DOUBLE"]}'
        ) AS e
    FROM batch
    WHERE name = 'trainjob.steps_done'
);
