"""Metrics and logs: the catalogue, aggregation, HTTP."""
