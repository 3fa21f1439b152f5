"""Alembic's environment; run from `maskwatch.store.migrate`, never by its command line."""
