"""One pass of retention from the command line."""

from __future__ import annotations

from sqlalchemy import select

from maskwatch.clock import SystemClock
from maskwatch.config.schema import RetentionConfig
from maskwatch.store.database import Store
from maskwatch.store.engine import read_engine
from maskwatch.store.files import DataDir, DirectoryLock
from maskwatch.store.migrate import upgrade
from maskwatch.store.models import OutboxRow
from maskwatch.store.queries import reading
from maskwatch.store.reserve import Reserve
from maskwatch.store.retention import Retention
from maskwatch.telemetry.meter import Meter

__all__ = ["prune"]


def prune(place: DataDir, rules: RetentionConfig, *, dry_run: bool) -> dict[str, int]:
    """Remove what the rules no longer keep, or only count it; return the counts by kind.

    What waits for any sink, configured or not, is kept.

    Raises:
        StoreLockedError: a daemon owns the directory (never with `dry_run`).
        StoreError: the database cannot be used.

    """
    if dry_run:
        with reading(place.database):  # refuses what is not of this version
            return _run(place, rules, dry_run=True)
    with DirectoryLock(place, patience=0.0):
        upgrade(place.database)
        return _run(place, rules, dry_run=False)


def _run(place: DataDir, rules: RetentionConfig, *, dry_run: bool) -> dict[str, int]:
    clock = SystemClock()
    store = Store(
        place,
        sinks=(),
        reserve=Reserve(place, 0),
        clock=clock,
        meter=Meter(),
        engine=read_engine(place.database) if dry_run else None,
    )
    try:
        with store.session() as session:
            store.sinks = tuple(session.scalars(select(OutboxRow.sink).distinct()))
        retention = Retention(store, rules, clock.now(), dry_run=dry_run)
        for _ in retention.slices():
            pass
    finally:
        store.close()
    return retention.removed
