"""Tools that the server runs, by kind of toolgroup."""
