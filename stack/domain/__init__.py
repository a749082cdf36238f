"""Pure decisions: `evolve` folds events into state, `decide` functions turn a command and a state into events
or a typed refusal. No I/O, no clock, no generated ids: all of these are arguments."""
