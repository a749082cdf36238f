-- on: trainjob.epoch_done
-- A whole epoch becomes a row.
INSERT INTO now.trainjob_epochs BY NAME
SELECT
    position,
    make_timestamp(recorded_at) AS recorded_at,
    id AS job_uuid,
    e.epoch AS epoch,
    e.last_step AS last_step,
    e.train_loss AS train_loss,
    e.validation_loss AS validation_loss,
    e.perplexity AS perplexity,
    e.metrics AS metrics
FROM (
    SELECT
        position,
        recorded_at,
        id,
        json_transform(
            state,
            '{"epoch": "BIGINT", "last_step": "BIGINT", "train_loss": "DOUBLE", "validation_loss": "DOUBLE",
              "perplexity": "DOUBLE", "metrics": "JSON"}'
        ) AS e
    FROM batch
    WHERE name = 'trainjob.epoch_done'
);
