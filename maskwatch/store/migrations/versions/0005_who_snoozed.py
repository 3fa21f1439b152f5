"""Adds who snoozed a camera.

Revision: 0005, after 0004.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the database one step forward."""
    op.add_column("snooze", sa.Column("snoozed_by", sa.String(length=100), nullable=True))
