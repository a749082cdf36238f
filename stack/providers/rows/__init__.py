"""The sources of dataset rows."""
