-- One row per event of a span, such as an exception.
--   trace_id | VARCHAR | | Trace of the span, 32 hex digits.
--   span_id | VARCHAR | | Id of the span, 16 hex digits.
--   session_id | VARCHAR | | Conversation of the span: the session's id for spans of this server.
--   turn_id | VARCHAR | | Turn of the span, if the sender names it.
--   span_name | VARCHAR | | Name of the span.
--   ordinal | BIGINT | | Place among the events of the span, from 1.
--   name | VARCHAR | | Name of the event.
--   occurred_at | TIMESTAMP | UTC | When it happened, in microseconds; time_ns has all digits.
--   time_ns | BIGINT | ns since 1970 | When it happened.
--   attributes | JSON | | All attributes: an object.

SELECT
    trace_id,
    span_id,
    session_id,
    turn_id,
    span_name,
    ordinal,
    event ->> '$.name' AS name,
    make_timestamp((event ->> '$.time_ns')::BIGINT // 1000) AS occurred_at,
    (event ->> '$.time_ns')::BIGINT AS time_ns,
    event -> '$.attributes' AS attributes
FROM (
    SELECT
        trace_id,
        span_id,
        session_id,
        turn_id,
        name AS span_name,
        generate_subscripts(from_json(events, '["JSON"]'), 1) AS ordinal,
        unnest(from_json(events, '["JSON"]')) AS event
    FROM spans
    WHERE events IS NOT NULL
);
