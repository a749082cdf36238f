"""What concerns a request before its use case: the caller, repetition, rates."""
