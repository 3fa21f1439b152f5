"""Adds snoozed cameras, and marks the violations that opened during a snooze.

Revision: 0002, after 0001.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the database one step forward."""
    op.add_column(
        "violation", sa.Column("silenced", sa.Boolean(), server_default=sa.text("0"), nullable=False)
    )
    op.create_table(
        "snooze",
        sa.Column("camera", sa.String(length=64), nullable=False),
        sa.Column("since", sa.DateTime(), nullable=False),
        sa.Column("until", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("camera", name=op.f("pk_snooze")),
    )
