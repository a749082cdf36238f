"""The durable log of received telemetry."""
