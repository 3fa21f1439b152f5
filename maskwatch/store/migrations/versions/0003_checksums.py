"""Adds a checksum to every row, and a digest of the picture to changes.

`maskwatch.store.migrate` computes the checksums after the last step. Revision: 0003, after 0002.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TABLES = ("violation", "incident", "change", "outbox", "attempt", "snooze", "occupancy")


def upgrade() -> None:
    """Bring the database one step forward."""
    op.add_column("change", sa.Column("picture_sha256", sa.String(length=64), nullable=True))
    for table in _TABLES:
        op.add_column(table, sa.Column("checksum", sa.Integer(), nullable=True))
