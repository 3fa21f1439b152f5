"""What Alembic runs: our models, in batch mode, on the connection that `migrate` hands over."""

from __future__ import annotations

from alembic import context

from maskwatch.store.models import Base

# `migrate` owns the transaction: all steps together, or none.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    render_as_batch=True,
    transactional_ddl=False,
)
context.run_migrations()
