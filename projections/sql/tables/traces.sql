-- One row per trace, kept up with whatever arrives: late spans, parents after their children.
--   first_*     of the earliest span; of several at one time that without a parent, then the one with the least id
--   top_*       of the earliest span that names no parent; NULL while there is none
--   models      distinct models of its model calls, at most 8
--   token_spans spans that carry tokens; with two or more, the tokens of the trace depend on how its spans are linked
--   is_counted  whether input_tokens and output_tokens hold; if not, they are NULL and readers count the spans
--   first_number  the least number of its spans: none of them is in an earlier part of the tables
-- The root is the earliest span whose parent is absent: the first one where that names no parent, which is nearly
-- always so; otherwise its spans tell.
CREATE TABLE now.traces (
    trace_id UUID NOT NULL,
    start_ns BIGINT NOT NULL,
    end_ns BIGINT,
    span_count BIGINT NOT NULL,
    error_count BIGINT NOT NULL,
    first_span_id UBIGINT NOT NULL,
    first_parent_span_id UBIGINT,
    first_name VARCHAR NOT NULL,
    first_resource_id UBIGINT NOT NULL,
    top_start_ns BIGINT,
    top_span_id UBIGINT,
    top_name VARCHAR,
    top_resource_id UBIGINT,
    input_tokens BIGINT,
    output_tokens BIGINT,
    models VARCHAR[] NOT NULL,
    token_spans BIGINT NOT NULL,
    is_counted BOOLEAN NOT NULL,
    first_number BIGINT NOT NULL
);
