"""What an operator writes: the schema, its loading, and the difference of two of them."""
