"""What the command line does in a data directory without a daemon: acknowledge, retry and prune."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from maskwatch.clock import SystemClock
from maskwatch.config.schema import RetentionConfig
from maskwatch.store.acknowledgements import acknowledge
from maskwatch.store.data_dir import DataDir, DirectoryLock
from maskwatch.store.engine import read_engine, translate_errors, write_engine
from maskwatch.store.migrate import check_revision, upgrade
from maskwatch.store.models import OutboxRow
from maskwatch.store.parked import ParkedFilter, put_back
from maskwatch.store.queries import read_session
from maskwatch.store.reserve import Reserve
from maskwatch.store.retention import Retention
from maskwatch.store.store import Store
from maskwatch.telemetry.meter import Meter


def acknowledge_offline(path: Path, violation: UUID, by: str) -> bool:
    """Acknowledge a violation in a data directory; return False for an unknown id.

    Raises:
        StoreLockedError: a daemon owns the directory: send it a command instead.
        StoreError: the database cannot be written, or has another revision than this version's.
    """
    with _write_session(path) as session:
        return acknowledge(session, violation, by, SystemClock().now()) is not None


def retry_offline(path: Path, criteria: ParkedFilter, by: str) -> Mapping[str, int]:
    """Make parked alerts pending; return how many of each sink. Raises as `acknowledge_offline`."""
    with _write_session(path) as session:
        return put_back(session, criteria, by, SystemClock().now())


@contextmanager
def _write_session(path: Path) -> Iterator[Session]:
    """Open a transaction in a data directory that no daemon uses."""
    data_dir = DataDir(path)
    with DirectoryLock(data_dir, timeout=0.0):
        engine = write_engine(data_dir.database, timeout=5.0)
        try:
            with translate_errors(data_dir.database), Session(engine) as session, session.begin():
                check_revision(session.connection(), data_dir.database, exact=True)
                yield session
        finally:
            engine.dispose()


def prune(data_dir: DataDir, rules: RetentionConfig, *, dry_run: bool) -> dict[str, int]:
    """Remove what exceeds the rules, or only count it; return the counts by kind.

    What is pending for any sink, configured or not, is kept.

    Raises:
        StoreLockedError: a daemon owns the directory (never with `dry_run`).
        StoreError: the database cannot be used.
    """
    if dry_run:
        with read_session(data_dir.database):  # checks the revision
            return _run_retention(data_dir, rules, dry_run=True)
    with DirectoryLock(data_dir, timeout=0.0):
        upgrade(data_dir.database)
        return _run_retention(data_dir, rules, dry_run=False)


def _run_retention(data_dir: DataDir, rules: RetentionConfig, *, dry_run: bool) -> dict[str, int]:
    clock = SystemClock()
    store = Store(
        data_dir,
        sinks=(),
        reserve=Reserve(data_dir, 0),
        clock=clock,
        meter=Meter(),
        engine=read_engine(data_dir.database) if dry_run else None,
    )
    try:
        with store.database.session() as session:
            store.outbox.sinks = tuple(session.scalars(select(OutboxRow.sink).distinct()))
        retention = Retention(store, rules, clock.now(), dry_run=dry_run)
        for _ in retention.slices():
            pass
    finally:
        store.close()
    return retention.removed
