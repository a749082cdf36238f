"""SQL of users: run in a confined worker process over copies of the read models' files."""
