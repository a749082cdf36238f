-- The streams of a metric: id, unit, kind, temporality, whether it only rises, labels, and the attributes of its
-- resource.
SELECT
    m.stream_id,
    m.unit,
    m.kind,
    m.temporality,
    m.is_monotonic,
    m.labels,
    coalesce(r.attributes, '{}')
FROM now.metric_streams AS m
LEFT JOIN now.telemetry_resources AS r ON m.resource_id = r.resource_id
WHERE m.name = $name
ORDER BY m.stream_id;
