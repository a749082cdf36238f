-- Turns whose messages or passages (by touchpoint) input shields have judged and not refused.

SELECT
    turn_id,
    touchpoint
FROM _verdicts
WHERE touchpoint IN ('user-input', 'retrieved-text')
GROUP BY turn_id, touchpoint
HAVING NOT bool_or(is_refused);
