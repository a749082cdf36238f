-- Puts the streams of `arriving` into the store that are not there yet, numbered on in the order of arrival.
INSERT INTO now.metric_streams BY NAME
SELECT
    (SELECT coalesce(max(stream_id), 0) FROM now.metric_streams)
    + row_number() OVER (ORDER BY min(number)) AS stream_id,
    any_value(name) AS name,
    nullif(any_value(description), '') AS description,
    any_value(unit) AS unit,
    any_value(kind) AS kind,
    nullif(any_value(temporality), '') AS temporality,
    any_value(is_monotonic) = 1 AS is_monotonic,
    any_value(labels) AS labels,
    any_value(resource_id) AS resource_id,
    any_value(scope_id) AS scope_id,
    identity
FROM arriving
WHERE identity NOT IN (SELECT identity FROM now.metric_streams)
GROUP BY identity;
