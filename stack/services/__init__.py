"""Services: they load state, decide, append events and run effects. HTTP and commands call them."""
