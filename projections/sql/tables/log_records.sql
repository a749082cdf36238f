-- Log records, in the order of arrival.
--   number      as that of spans
--   time_ns     when it happened, NULL where the sender does not say; observed_ns when it was seen by a collector
--   severity    OTLP's number: 1 to 4 trace, 5 debug, 9 info, 13 warn, 17 error, 21 fatal; 0 where it is not said
--   body        JSON text: whatever the sender logged
--   trace_id, span_id  of the span in which it was logged, NULL where there is none
CREATE TABLE now.log_records (
    number BIGINT NOT NULL,
    time_ns BIGINT,
    observed_ns BIGINT,
    severity UTINYINT NOT NULL,
    severity_text VARCHAR,
    event_name VARCHAR,
    body VARCHAR NOT NULL,
    attributes VARCHAR NOT NULL,
    dropped_attributes UINTEGER NOT NULL,
    flags UINTEGER NOT NULL,
    trace_id UUID,
    span_id UBIGINT,
    resource_id UBIGINT NOT NULL,
    scope_id UBIGINT NOT NULL
);
