-- What sends telemetry: a process, a host. Attributes are JSON text, exactly as the API shows them.
CREATE TABLE now.telemetry_resources (
    resource_id UBIGINT NOT NULL,
    attributes VARCHAR NOT NULL,
    schema_url VARCHAR,
    dropped_attributes UINTEGER NOT NULL DEFAULT 0
);
