-- turn_id of each turn with a step of this id: the turn, and its copies in forks. Reads all turns.
SELECT DISTINCT turn_id
FROM now.turn_changes
WHERE step_id = $step_id;
