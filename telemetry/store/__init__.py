"""From the telemetry log to tables: intake, decoding processes, projector, upkeep."""
