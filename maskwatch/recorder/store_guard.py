"""The open database: reopened when it is damaged, and written back when its file is gone.

The only place that reopens it. Other errors of the store are logged, and the work that met them is
postponed: it is due again at the next turn of the loop.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from maskwatch.clock import Clock
from maskwatch.errors import StoreDamagedError, StoreDisplacedError, StoreError
from maskwatch.store.replacement import Repair
from maskwatch.store.store import Store
from maskwatch.telemetry.meter import Meter

_log = logging.getLogger(__name__)

OpenDatabase = Callable[[Sequence[str], Meter], tuple[Store, Repair | None]]

_WRITE_BACK_EVERY = 5.0  # seconds between two attempts to write back a database whose file is gone


class StoreGuard:
    """Opens the database, and reopens it when necessary.

    Args:
        open_database: opens it for the sinks of these names; a damaged one is replaced.
        progress: called often during long work.

    Attributes:
        store: the open database; another one after it was reopened.

    Raises:
        StoreError: it cannot be opened.
    """

    def __init__(
        self,
        open_database: OpenDatabase,
        sinks: Sequence[str],
        *,
        meter: Meter,
        clock: Clock,
        progress: Callable[[], object],
    ) -> None:
        self._open_database = open_database
        self._meter = meter
        self._clock = clock
        self._progress = progress
        self._write_back_at = -math.inf
        self.store, repair = open_database(sinks, meter)
        self._replacements = [str(repair)] if repair else []

    def take_replacements(self) -> list[str]:
        """Return how the database was replaced since the last call; "" if it was only reopened."""
        replacements, self._replacements = self._replacements, []
        return replacements

    @contextmanager
    def postponing_errors(self) -> Iterator[None]:
        """Handle errors of the store: what was to be done is not lost, but due again later."""
        try:
            yield
        except StoreDisplacedError as error:
            self._write_back(error)
        except StoreDamagedError as error:
            _log.critical("%s", error)
            self._reopen()
        except StoreError as error:
            _log.warning("postponed: %s", error)

    def _write_back(self, displaced: StoreDisplacedError) -> None:
        if self._clock.monotonic() < self._write_back_at:
            return
        self._write_back_at = self._clock.monotonic() + _WRITE_BACK_EVERY
        _log.critical("%s", displaced)
        try:
            self.store.database.save_copy(self._progress)
        except StoreError as error:
            _log.critical("the database cannot be written back now: %s", error)
        else:
            self._reopen(f"{displaced}; ")

    def _reopen(self, reason: str = "") -> None:
        """Have the file in its place moved aside, and what it still holds carried over."""
        self.store.data_dir.suspect_damage()
        self.store.close()
        self.store, repair = self._open_database(self.store.outbox.sinks, self._meter)
        self._replacements.append(f"{reason}{repair}" if repair else reason)
