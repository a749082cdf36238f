-- session_id, number of turns, change that the last turn has reached, input and output tokens, microseconds of the last
-- event, text of the first message: of sessions that have turns, with those that a fork shares.
WITH turns AS (
    SELECT
        session_id,
        turn_id
    FROM now.turn_changes
    WHERE change = 'started' AND session_id IN (SELECT unnest($session_ids::VARCHAR[]))
    UNION ALL
    SELECT
        session_id,
        turn_id
    FROM now.shared_turns
    WHERE session_id IN (SELECT unnest($session_ids::VARCHAR[]))
)

SELECT
    t.session_id,
    count(DISTINCT t.turn_id),
    arg_max(c.change, c.position) FILTER (WHERE NOT starts_with(c.change, 'step_')),
    sum(c.input_tokens)::BIGINT,
    sum(c.output_tokens)::BIGINT,
    max(epoch_us(c.recorded_at)),
    arg_min(
        left(
            coalesce(
                CASE
                    WHEN json_type(c.event, '$.input_messages[0].content') = 'VARCHAR'
                        THEN c.event ->> '$.input_messages[0].content'
                END,
                c.event ->> '$.input_messages[0].content.text',
                c.event ->> '$.input_messages[0].content[0].text'
            ),
            200
        ),
        c.position
    ) FILTER (WHERE c.change = 'started')
FROM turns AS t
INNER JOIN now.turn_changes AS c ON t.turn_id = c.turn_id
GROUP BY t.session_id;
