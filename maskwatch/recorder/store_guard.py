"""The open database, and what is done when it is damaged, gone, or cannot be written now."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from maskwatch.clock import Clock
from maskwatch.errors import StoreDamagedError, StoreDisplacedError, StoreError
from maskwatch.store.database import Store
from maskwatch.store.recovery import Repair
from maskwatch.telemetry.meter import Meter

__all__ = ["OpenDatabase", "StoreGuard"]

_log = logging.getLogger(__name__)

OpenDatabase = Callable[[Sequence[str], Meter], tuple[Store, Repair | None]]

_PUT_BACK_EVERY = 5.0  # seconds between two tries to put back a database whose file is gone


class StoreGuard:
    """Opens the database, and opens it anew when it must be.

    Args:
        open_database: opens it for the sinks of these names; damaged, it is replaced.
        sinks: their names.
        meter: what is measured.
        clock: the time.
        alive: called often in what takes long.
        replaced: called once the database was opened anew, with what happened; "" if it was sound.

    Raises:
        StoreError: it cannot be had.

    """

    def __init__(
        self,
        open_database: OpenDatabase,
        sinks: Sequence[str],
        *,
        meter: Meter,
        clock: Clock,
        alive: Callable[[], object],
        replaced: Callable[[str], None],
    ) -> None:
        self._open_database = open_database
        self._meter = meter
        self._clock = clock
        self._alive = alive
        self._replaced = replaced
        self._put_back_at = -math.inf
        self.store, self.repaired = open_database(sinks, meter)

    @contextmanager
    def trouble(self) -> Iterator[None]:
        """Survive what the store cannot do now: nothing is lost, and it is tried again."""
        try:
            yield
        except StoreDisplacedError as error:
            self._put_back(error)
        except StoreDamagedError as error:
            _log.critical("%s", error)
            self._reopen()
        except StoreError as error:
            _log.warning("put off: %s", error)

    def _put_back(self, displaced: StoreDisplacedError) -> None:
        """Give what the open database holds a file again."""
        if self._clock.monotonic() < self._put_back_at:
            return
        self._put_back_at = self._clock.monotonic() + _PUT_BACK_EVERY
        _log.critical("%s", displaced)
        try:
            self.store.put_by(self._alive)
        except StoreError as error:
            _log.critical("it cannot be put back now: %s", error)
        else:
            self._reopen(f"{displaced}; ")

    def _reopen(self, why: str = "") -> None:
        """Have what is in its place moved aside, and what it still holds carried over."""
        self.store.place.suspicion.touch(mode=0o600)
        self.store.close()
        self.store, repaired = self._open_database(self.store.sinks, self._meter)
        self._replaced(f"{why}{repaired}" if repaired else why)
