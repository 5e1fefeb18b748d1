"""Background work: load rows, call a recipe, store what it returns."""
