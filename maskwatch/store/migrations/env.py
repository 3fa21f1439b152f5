"""The script that Alembic runs: batch mode, on the connection of `maskwatch.store.migrate`."""

from __future__ import annotations

from alembic import context

from maskwatch.store.models import Base

# `maskwatch.store.migrate` owns the transaction: all steps or none.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=False,
)
context.run_migrations()
