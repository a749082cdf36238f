"""Stores telemetry from the log in tables: intake, decoding processes, projector, maintenance."""
