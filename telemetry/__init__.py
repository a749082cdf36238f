"""OpenTelemetry: the server's own signals. Nothing here knows what an agent is."""
