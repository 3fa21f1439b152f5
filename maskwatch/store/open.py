"""From a directory to a `Store`: check, repair, refuse what must be, migrate, set space aside."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from maskwatch.clock import Clock
from maskwatch.errors import DiskFullError
from maskwatch.store.database import Store
from maskwatch.store.files import DataDir
from maskwatch.store.integrity import fault
from maskwatch.store.migrate import upgrade
from maskwatch.store.recovery import Repair, finish_repair, repair
from maskwatch.store.reserve import Reserve
from maskwatch.telemetry.meter import Meter

__all__ = ["open_store"]

_log = logging.getLogger(__name__)
_QUICKLY_CHECKED = 64 << 20  # bytes up to which every start compares indexes with tables


def open_store(
    place: DataDir, *, sinks: Sequence[str], reserve_bytes: int, clock: Clock, meter: Meter
) -> tuple[Store, Repair | None]:
    """Open the database of a prepared directory whose lock the caller holds.

    Returns:
        The store, and what was done about a damaged database, None if it was sound.

    Raises:
        StoreTooNewError: a newer maskwatch wrote it.
        StoreBusyError: another program keeps it locked.
        StoreError: it cannot be opened.

    """
    reserve = Reserve(place, reserve_bytes)
    try:
        repaired = _make_ready(place, sinks, clock)
    except DiskFullError:
        if not reserve.give_up():
            raise
        _log.error("the disk is full: the reserve in %s is given up", place.path)
        repaired = _make_ready(place, sinks, clock)
    reserve.fill()
    return Store(place, sinks=sinks, reserve=reserve, clock=clock, meter=meter), repaired


def _make_ready(place: DataDir, sinks: Sequence[str], clock: Clock) -> Repair | None:
    repaired = _repair_if_damaged(place, sinks, clock)
    upgrade(place.database)
    place.suspicion.unlink(missing_ok=True)
    return repaired


def _repair_if_damaged(place: DataDir, sinks: Sequence[str], clock: Clock) -> Repair | None:
    finished = finish_repair(place, clock.now())
    if finished is not None:
        _log.critical("the database was replaced: %s", finished)
        return finished
    if not place.database.exists():
        return None
    small = place.database.stat().st_size <= _QUICKLY_CHECKED
    problem = fault(place.database, thorough=small or place.suspicion.exists())
    if not problem:
        return None
    _log.critical("the database %s is damaged: %s", place.database, problem)
    done = repair(place, sinks, clock.now())
    _log.critical("the database was replaced: %s", done)
    return done
