-- Gives the traces of `counting` their tokens, from `counts`: a row for each of their spans, with the tokens that count.
UPDATE now.traces AS t
SET
    input_tokens = totals.input_tokens,
    output_tokens = totals.output_tokens,
    is_counted = true
FROM (
    SELECT
        c.trace_id,
        CASE
            WHEN count(nullif(s.input_tokens, -9223372036854775808)) > 0
                THEN least(sum(nullif(s.input_tokens, -9223372036854775808)), 9223372036854775807)::BIGINT
        END AS input_tokens,
        CASE
            WHEN count(nullif(s.output_tokens, -9223372036854775808)) > 0
                THEN least(sum(nullif(s.output_tokens, -9223372036854775808)), 9223372036854775807)::BIGINT
        END AS output_tokens
    FROM counts AS s
    INNER JOIN counting AS c ON s.place = c.place
    GROUP BY c.trace_id
) AS totals
WHERE t.trace_id = totals.trace_id;
