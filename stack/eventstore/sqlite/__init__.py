"""The event log in a SQLite file of the data folder."""
