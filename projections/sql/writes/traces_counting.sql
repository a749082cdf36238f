-- Makes `counting`: the traces of `touched` whose tokens have to be counted from all their spans. The smallest ones, as
-- many as have so many spans in all (parameter): what a batch costs is bounded, and readers count the others.
CREATE OR REPLACE TEMP TABLE counting AS
SELECT
    row_number() OVER (ORDER BY span_count, trace_id) - 1 AS place,
    trace_id,
    first_number
FROM now.traces
WHERE NOT is_counted AND trace_id IN (SELECT trace_id FROM touched WHERE NOT is_counted)
QUALIFY sum(span_count) OVER (ORDER BY span_count, trace_id) <= $1;
