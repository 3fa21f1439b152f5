"""One pass of retention from the command line."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from maskwatch.clock import SystemClock
from maskwatch.config.schema import RetentionConfig
from maskwatch.store.database import Store
from maskwatch.store.engine import read_engine, translated, write_engine
from maskwatch.store.files import DataDir, DirectoryLock
from maskwatch.store.migrate import refuse_foreign, upgrade
from maskwatch.store.models import OutboxRow
from maskwatch.store.queries import reading
from maskwatch.store.reserve import Reserve
from maskwatch.store.retention import Retention
from maskwatch.store.statements import acknowledge
from maskwatch.telemetry.meter import Meter

__all__ = ["acknowledge_directly", "prune"]


def acknowledge_directly(data_dir: Path, violation: UUID, who: str) -> bool:
    """Acknowledge a violation; return False if there is none of that id.

    Raises:
        StoreLockedError: a daemon owns the directory: ask it instead.
        StoreError: the database cannot be written, or has another form than this version's.

    """
    place = DataDir(data_dir)
    with DirectoryLock(place, patience=0.0):
        engine = write_engine(place.database, timeout=5.0)
        try:
            with translated(place.database), Session(engine) as session, session.begin():
                refuse_foreign(session.connection(), place.database, exact=True)
                done = acknowledge(session, violation, who, SystemClock().now())
                return done is not None
        finally:
            engine.dispose()


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
