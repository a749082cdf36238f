-- Where a text went, for example before it is erased: the sessions and turns that have it, what has it besides them, and every
-- model, tool and caller that a session with it reached from then on. One row for each of them, the first one first.
--   $value | VARCHAR | | | The text, as it stands in messages, arguments, results, configurations or rows.

WITH needle AS (
    -- As in JSON text, without its quotes.
    SELECT substr(to_json($value::VARCHAR)::VARCHAR, 2, length(to_json($value::VARCHAR)::VARCHAR) - 2) AS text
),

held AS (
    SELECT
        e.position,
        e.recorded_at,
        e.category,
        e.stream,
        e.turn_id
    FROM events AS e
    CROSS JOIN needle AS n
    WHERE contains(e.event::VARCHAR, n.text)
),

-- The first turn of each session, also of forks, that has it; later ones have it before them.
sessions_with_it AS (
    SELECT
        s.session_id,
        min(s.ordinal) AS ordinal,
        min(h.position) AS position
    FROM held AS h
    INNER JOIN session_turns AS s ON h.turn_id = s.turn_id
    GROUP BY s.session_id
),

turns_after AS (
    SELECT DISTINCT
        s.turn_id,
        w.session_id,
        w.position
    FROM sessions_with_it AS w
    INNER JOIN session_turns AS s ON w.session_id = s.session_id AND s.ordinal >= w.ordinal
),

seen AS (
    SELECT
        'session' AS kind,
        session_id AS name,
        session_id,
        min(position) AS position,
        count(*) AS times
    FROM turns_after
    GROUP BY session_id
    UNION ALL
    SELECT
        'caller',
        coalesce(t.created_by, ''),
        a.session_id,
        min(t.position),
        count(*)
    FROM turns_after AS a
    INNER JOIN turns AS t ON a.turn_id = t.turn_id
    GROUP BY ALL
    UNION ALL
    SELECT
        'model',
        s.model,
        a.session_id,
        min(s.position),
        count(*)
    FROM turns_after AS a
    INNER JOIN steps AS s ON a.turn_id = s.turn_id AND s.position > a.position
    WHERE s.step_type = 'inference'
    GROUP BY ALL
    UNION ALL
    SELECT
        'tool',
        c.tool_name,
        a.session_id,
        min(c.position),
        count(*)
    FROM turns_after AS a
    INNER JOIN tool_calls AS c ON a.turn_id = c.turn_id
    WHERE contains(c.arguments, $value::VARCHAR) OR contains(c.arguments, (SELECT n.text FROM needle AS n))
    GROUP BY ALL
    UNION ALL
    SELECT
        category,
        stream,
        NULL,
        min(position),
        count(*)
    FROM held
    WHERE category NOT IN ('turn', 'session')
    GROUP BY ALL
)

SELECT
    s.kind,
    s.name,
    s.session_id,
    e.recorded_at AS first_at,
    s.times
FROM seen AS s
INNER JOIN events AS e ON s.position = e.position
ORDER BY s.position, s.kind, s.name, s.session_id;
