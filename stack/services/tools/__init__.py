"""Tools that the server runs: which a turn has, and when a call needs approval."""
