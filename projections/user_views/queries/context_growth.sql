-- How the input of the model grows in a session: tokens of its first, its largest and its last inference.
--   $row_count | BIGINT | 20 | rows | Most rows to return.

SELECT
    t.session_id,
    count(*) AS inferences,
    arg_min(s.input_tokens, s.position) AS first_tokens,
    max(s.input_tokens) AS largest_tokens,
    arg_max(s.input_tokens, s.position) AS last_tokens,
    arg_max(s.input_tokens, s.position) - arg_min(s.input_tokens, s.position) AS growth_tokens
FROM steps AS s
INNER JOIN session_turns AS t ON s.turn_id = t.turn_id
WHERE s.step_type = 'inference' AND s.input_tokens IS NOT NULL
GROUP BY t.session_id
ORDER BY growth_tokens DESC, t.session_id
LIMIT $row_count;
