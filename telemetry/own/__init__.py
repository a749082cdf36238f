"""The server's own spans and metrics."""
