-- event: the one with which the dataset was registered.
SELECT event
FROM now.dataset_changes
WHERE dataset_id = $dataset_id AND change = 'registered';
