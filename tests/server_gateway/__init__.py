"""Chat completions passed through a real server."""
