"""Where the rows of datasets come from."""
