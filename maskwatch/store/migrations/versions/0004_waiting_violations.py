"""Delivers what former versions held in memory for an acknowledgement, and marked as delivered.

Only of the last day: what waited longer was lost, and is no news any more.

Revision: 0004, after 0003.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the database one step forward."""
    op.execute(
        "UPDATE outbox SET state = 'pending', finished_at = NULL WHERE state = 'delivered'"
        " AND last_error = 'held until it is acknowledged'"
        " AND created_at > datetime('now', '-1 day')"
        " AND subject IN (SELECT id FROM violation WHERE acknowledged_at IS NULL)"
    )
