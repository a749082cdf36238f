-- The share of results of tools in the text of each session, by characters: about their share of its tokens. Text that is
-- withheld does not count.
--   $row_count | BIGINT | 20 | rows | Most rows to return.

SELECT
    session_id,
    coalesce(sum(length(text)) FILTER (WHERE role = 'tool'), 0)::BIGINT AS tool_characters,
    sum(length(text))::BIGINT AS characters,
    coalesce(sum(length(text)) FILTER (WHERE role = 'tool'), 0) / sum(length(text)) AS tool_share
FROM messages
GROUP BY session_id
HAVING sum(length(text)) > 0
ORDER BY tool_share DESC, session_id
LIMIT $row_count;
