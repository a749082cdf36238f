-- One row per session that exists.
--   session_id | VARCHAR | | Id of the session.
--   agent_id | VARCHAR | | Agent of the session.
--   name | VARCHAR | | Name of the session. A marker if it is above 256 KiB.
--   parent_session_id | VARCHAR | | Session of which this one is a fork; NULL for other sessions. It may have been deleted.
--   root_session_id | VARCHAR | | Session in which the first of all these forks was made; NULL for other sessions.
--   turn_count | BIGINT | turns | Turns of the session, with those that it shares.
--   shared_turn_count | BIGINT | turns | Turns that it shares with the sessions before it.
--   input_tokens | BIGINT | tokens | Sum over the inferences of turns that it recorded, not of those that it shares, as in
--      token_usage; NULL if no model reported any.
--   output_tokens | BIGINT | tokens | As input_tokens.
--   cost_usd | DOUBLE | US dollars | As input_tokens, over the inferences whose cost is known.
--   unpriced_inferences | BIGINT | inferences | Completed inferences of these turns whose cost is not known.
--   created_at | TIMESTAMP | UTC | When the session was created.
--   last_turn_at | TIMESTAMP | UTC | When its newest turn started; NULL without turns.
--   created_by | VARCHAR | | Name of the API key that created the session; NULL without keys.
--   trace_id | VARCHAR | | Trace of the request that created the session, 32 hex digits; NULL without one.

SELECT
    s.session_id AS session_id,
    s.agent_id AS agent_id,
    s.session_name AS name,
    nullif(s.parent, '') AS parent_session_id,
    nullif(s.root, '') AS root_session_id,
    coalesce(t.turn_count, 0) AS turn_count,
    coalesce(t.shared_turn_count, 0) AS shared_turn_count,
    u.input_tokens AS input_tokens,
    u.output_tokens AS output_tokens,
    u.cost_usd AS cost_usd,
    coalesce(u.unpriced_inferences, 0) AS unpriced_inferences,
    s.recorded_at AS created_at,
    t.last_turn_at AS last_turn_at,
    nullif(s.actor, '') AS created_by,
    nullif(s.trace_id, '') AS trace_id
FROM views.sessions AS s
LEFT JOIN (
    SELECT
        session_id,
        count(*) AS turn_count,
        count(*) FILTER (WHERE is_shared) AS shared_turn_count,
        max(started_at) AS last_turn_at
    FROM session_turns
    GROUP BY session_id
) AS t
    ON s.session_id = t.session_id
LEFT JOIN (
    SELECT
        session_id,
        sum(input_tokens)::BIGINT AS input_tokens,
        sum(output_tokens)::BIGINT AS output_tokens,
        sum(cost_usd) AS cost_usd,
        count(*) FILTER (WHERE cost_usd IS NULL) AS unpriced_inferences
    FROM _usage
    GROUP BY session_id
) AS u
    ON s.session_id = u.session_id
WHERE s.agent_id IN (SELECT a.agent_id FROM views.agent_changes AS a);
