"""The store: one database and what the recorder keeps in it; and how it is opened."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from sqlalchemy import Engine

from maskwatch.clock import Clock
from maskwatch.errors import DiskFullError
from maskwatch.files import fsync_directory, fsync_file
from maskwatch.store.acknowledgements import Acknowledgements
from maskwatch.store.data_dir import DataDir
from maskwatch.store.database import Database
from maskwatch.store.integrity import find_damage
from maskwatch.store.migrate import upgrade
from maskwatch.store.outbox import Outbox
from maskwatch.store.record import ChangeRecorder
from maskwatch.store.recovery import repair
from maskwatch.store.replacement import Repair, finish_repair
from maskwatch.store.reserve import Reserve
from maskwatch.store.scrub import PictureChecks
from maskwatch.store.snoozes import Snoozes
from maskwatch.store.state import StateQueries
from maskwatch.store.wal import wal_and_shm
from maskwatch.telemetry.meter import Meter

_log = logging.getLogger(__name__)
_MAX_THOROUGH_CHECK = 64 << 20  # bytes up to which every start compares indexes with tables


class Store:
    """The parts of an open store; each of their methods is one transaction, durable on return."""

    def __init__(
        self,
        data_dir: DataDir,
        *,
        sinks: Sequence[str],
        reserve: Reserve,
        clock: Clock,
        meter: Meter,
        engine: Engine | None = None,
    ) -> None:
        """Open it; `open_store` checks and migrates the database before.

        The caller holds the lock of `data_dir`, except with a read-only `engine`. `sinks`: names of
        the sinks to which changes are delivered.
        """
        database = Database(data_dir, reserve, engine)
        outbox = Outbox(database, sinks)
        self.data_dir = data_dir
        self.reserve = reserve
        self.database = database
        self.changes = ChangeRecorder(database, outbox, data_dir.pictures, reserve, clock, meter)
        self.outbox = outbox
        self.pictures = PictureChecks(data_dir.pictures, meter)
        self.snoozes = Snoozes(database, outbox, clock)
        self.acknowledgements = Acknowledgements(database, clock)
        self.state = StateQueries(database)

    def close(self) -> None:
        self.database.close()


def open_store(
    data_dir: DataDir, *, sinks: Sequence[str], reserve_bytes: int, clock: Clock, meter: Meter
) -> tuple[Store, Repair | None]:
    """Open the database of a prepared directory whose lock the caller holds.

    Returns:
        The store, and the repair of a damaged database, None if it was sound.

    Raises:
        StoreTooNewError: a newer maskwatch wrote it.
        StoreBusyError: another program keeps it locked.
        StoreError: it cannot be opened.
    """
    reserve = Reserve(data_dir, reserve_bytes)
    try:
        repaired = _prepare_database(data_dir, sinks, clock)
    except DiskFullError as error:
        if not reserve.release():
            raise
        _log.error("%s: released the reserve in %s", error, data_dir.path)
        repaired = _prepare_database(data_dir, sinks, clock)
    reserve.fill()
    return Store(data_dir, sinks=sinks, reserve=reserve, clock=clock, meter=meter), repaired


def _prepare_database(data_dir: DataDir, sinks: Sequence[str], clock: Clock) -> Repair | None:
    repaired = _repair_if_damaged(data_dir, sinks, clock)
    upgrade(data_dir.database)
    _sync(data_dir)
    data_dir.needs_check.unlink(missing_ok=True)
    return repaired


def _sync(data_dir: DataDir) -> None:
    """Sync what a killed recorder left: it is readable, and a repeated change is not written again."""
    for file in (data_dir.database, wal_and_shm(data_dir.database)[0]):
        if file.exists():
            fsync_file(file)
    fsync_directory(data_dir.path)


def _repair_if_damaged(data_dir: DataDir, sinks: Sequence[str], clock: Clock) -> Repair | None:
    finished = finish_repair(data_dir, clock.now())
    if finished is not None:
        _log.critical("replaced the database: %s", finished)
        return finished
    if not data_dir.database.exists():
        return None
    small = data_dir.database.stat().st_size <= _MAX_THOROUGH_CHECK
    damage = find_damage(data_dir.database, thorough=small or data_dir.needs_check.exists())
    if not damage:
        return None
    _log.critical("the database %s is damaged: %s", data_dir.database, damage)
    repaired = repair(data_dir, sinks, clock.now())
    _log.critical("replaced the database: %s", repaired)
    return repaired
