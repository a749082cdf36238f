"""OpenTelemetry: what senders send, from the wire to rows, and the server's own signals. Nothing here knows what an agent is."""
