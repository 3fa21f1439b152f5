"""The only way to make an image that may be stored, sent or shown."""
