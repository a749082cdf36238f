"""HTTP: controllers per noun; wire types become domain values here and back."""
