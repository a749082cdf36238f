-- The rows of the turns that a fork shares, as in `turn_rows`; session_id only of the first row of each.
SELECT
    change,
    turn_id,
    step_id,
    step_type,
    epoch_us(recorded_at),
    CASE WHEN change = 'started' THEN session_id END,
    event::VARCHAR,
    input_tokens,
    output_tokens,
    NULL,
    position
FROM now.turn_changes
WHERE
    turn_id IN (SELECT turn_id FROM now.shared_turns WHERE session_id = $session_id)
    AND position <= $as_of
    AND ($turn_ids IS NULL OR list_contains($turn_ids, turn_id))
ORDER BY position;
