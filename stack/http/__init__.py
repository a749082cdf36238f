"""The HTTP layer: one controller per noun, and the conversion between wire types and domain values."""
