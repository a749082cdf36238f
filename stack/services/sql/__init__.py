"""SQL of users over a snapshot of the read models and telemetry."""
