"""Worker processes: limited, framed over pipes, and ended with their task, their deadline or their server."""
