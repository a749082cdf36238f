-- Puts the resources of `arriving` into the store that are not there yet.
INSERT INTO now.telemetry_resources BY NAME
SELECT
    resource_id,
    any_value(attributes) AS attributes,
    nullif(any_value(schema_url), '') AS schema_url,
    any_value(dropped) AS dropped_attributes
FROM arriving
WHERE resource_id NOT IN (SELECT resource_id FROM now.telemetry_resources)
GROUP BY resource_id;
