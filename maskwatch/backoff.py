"""Exponential backoff with jitter."""
