"""Images and documents through a real server."""
