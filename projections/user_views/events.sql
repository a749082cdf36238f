-- One row per event of the log. Content that was erased is absent, and of turns with input shields the documents, the results
-- of calls, and what these shields have refused or have not judged.
--   position | BIGINT | | Position of the event in the log: events in this order.
--   stream | VARCHAR | | Stream of the event, such as turn/<turn_id>.
--   category | VARCHAR | | Part of the stream before the first slash: agent, session, turn, dataset, benchmark, evaljob or erasure.
--   version | INTEGER | | Number of the event in its stream, from 1.
--   name | VARCHAR | | Name of the event, such as turn.started, without the version of its form.
--   recorded_at | TIMESTAMP | UTC | When the event was recorded.
--   occurred_at | TIMESTAMP | UTC | When it occurred: earlier than recorded_at if a fork or an import copied it.
--   session_id | VARCHAR | | Session of an event of a session or a turn; NULL for others, and if it was erased with its turn.
--   turn_id | VARCHAR | | Turn of the event; NULL for others.
--   actor | VARCHAR | | Name of the API key that caused it; NULL without keys.
--   trace_id | VARCHAR | | Trace in which it was caused, 32 hex digits; NULL without one.
--   event | JSON | | The event as it was recorded; NULL if its content was erased. Texts above 256 KiB are markers.
--   is_erased | BOOLEAN | | Whether its content was erased with what was deleted.
--   is_withheld | BOOLEAN | | Whether fields are left out of it because of input shields.

WITH shielded AS (
    SELECT
        t.turn_id,
        bool_or(p.touchpoint = 'user-input') AS has_passed_input,
        bool_or(p.touchpoint = 'retrieved-text') AS has_passed_passages
    FROM views.turn_changes AS t
    LEFT JOIN _passed_inputs AS p ON t.turn_id = p.turn_id
    WHERE t.has_input_shields
    GROUP BY t.turn_id
),

-- Sessions of a deleted agent, until their own deletions follow.
leaving AS (
    SELECT s.session_id
    FROM views.sessions AS s
    INNER JOIN views.agent_deletions AS d ON s.agent_id = d.agent_id
),

-- Effects may be settled after the deletion of their session.
settled AS (
    SELECT t.turn_id
    FROM views.turn_changes AS t
    WHERE
        t.change = 'started'
        AND t.turn_id IN (SELECT e.turn_id FROM views.call_changes AS e WHERE e.change = 'effect_settled')
),

of_turns AS (
    SELECT
        c.position,
        c.turn_id,
        c.session_id,
        c.change,
        c.version,
        c.recorded_at,
        c.copied_at,
        c.actor,
        c.trace_id,
        c.event,
        CASE
            WHEN s.turn_id IS NULL THEN NULL
            WHEN c.change = 'started' AND s.has_passed_input THEN '{"documents": null, "fetched": null}'
            WHEN c.change = 'started' THEN '{"input_messages": null, "documents": null, "fetched": null}'
            WHEN c.change = 'resumed' THEN '{"fetched": null}'
            WHEN c.change = 'step_completed' AND c.step_type = 'memory_retrieval' AND s.has_passed_passages IS NOT TRUE
                THEN '{"inserted_context": null}'
            WHEN c.change = 'step_completed' AND c.step_type = 'tool_execution' AND r.step_id IS NULL
                THEN '{"tool_responses": null}'
        END AS patch
    FROM views.turn_changes AS c
    LEFT JOIN shielded AS s ON c.turn_id = s.turn_id
    LEFT JOIN _passed_results AS r ON c.turn_id = r.turn_id AND c.step_id = r.step_id
    UNION ALL
    SELECT
        c.position,
        c.turn_id,
        c.session_id,
        c.change,
        c.version,
        c.recorded_at,
        c.copied_at,
        c.actor,
        c.trace_id,
        c.event,
        CASE
            WHEN s.turn_id IS NOT NULL AND c.change IN ('tool_returned', 'tool_suspended', 'effect_settled')
                THEN '{"content": null, "metadata": null, "state": null, "calls": null, "question": null}'
        END
    FROM views.call_changes AS c
    LEFT JOIN shielded AS s ON c.turn_id = s.turn_id
)

SELECT
    position,
    'turn/' || turn_id AS stream,
    'turn' AS category,
    version,
    'turn.' || change AS name,
    coalesce(copied_at, recorded_at) AS recorded_at,
    recorded_at AS occurred_at,
    session_id,
    turn_id,
    nullif(actor, '') AS actor,
    nullif(trace_id, '') AS trace_id,
    CASE
        WHEN is_leaving THEN NULL
        WHEN patch IS NULL THEN event
        ELSE json_merge_patch(event, patch)
    END AS event,
    is_leaving AS is_erased,
    NOT is_leaving AND patch IS NOT NULL AS is_withheld
FROM (
    SELECT
        *,
        session_id IN (SELECT l.session_id FROM leaving AS l)
        OR (change = 'effect_settled' AND turn_id NOT IN (SELECT s.turn_id FROM settled AS s)) AS is_leaving
    FROM of_turns
)
UNION ALL
SELECT
    position,
    stream,
    split_part(stream, '/', 1),
    version,
    name,
    recorded_at,
    coalesce(occurred_at, recorded_at),
    CASE WHEN starts_with(stream, 'session/') THEN substr(stream, 9) END,
    CASE WHEN starts_with(stream, 'turn/') THEN substr(stream, 6) END,
    nullif(event ->> '$.actor', ''),
    nullif(event ->> '$.trace_id', ''),
    event,
    is_erased,
    FALSE
FROM views.log_events;
