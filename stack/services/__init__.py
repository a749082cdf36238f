"""Use cases: they load, decide, append and run effects. HTTP and commands call these."""
