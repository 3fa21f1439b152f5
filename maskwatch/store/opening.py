"""From a directory to a `Store`: refuse what must be refused, migrate, set space aside."""

from __future__ import annotations

from collections.abc import Sequence

from maskwatch.clock import Clock
from maskwatch.store.database import Store
from maskwatch.store.files import DataDir
from maskwatch.store.migrate import upgrade
from maskwatch.store.reserve import Reserve
from maskwatch.telemetry.meter import Meter

__all__ = ["open_store"]


def open_store(
    place: DataDir, *, sinks: Sequence[str], reserve_bytes: int, clock: Clock, meter: Meter
) -> Store:
    """Open the database of a prepared directory whose lock the caller holds.

    Raises:
        StoreTooNewError: a newer maskwatch wrote it.
        StoreError: it cannot be opened.

    """
    upgrade(place.database)
    reserve = Reserve(place, reserve_bytes)
    reserve.fill()
    return Store(place, sinks=sinks, reserve=reserve, clock=clock, meter=meter)
