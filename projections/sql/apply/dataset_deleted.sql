-- on: dataset.unregistered
-- Nothing of a dataset stays that came before its tombstone; its id may have been registered again behind it.
DELETE FROM now.dataset_changes
USING batch
WHERE
    batch.name = 'dataset.unregistered'
    AND batch.id = dataset_changes.dataset_id
    AND batch.position > dataset_changes.position;
