"""Periodic maintenance of the store: retention and the search for damage in steps, checkpoints."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from datetime import datetime, timedelta

from maskwatch.clock import Clock
from maskwatch.config.schema import RetentionConfig
from maskwatch.store.retention import Retention
from maskwatch.store.scrub import scrub
from maskwatch.store.store import Store
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter

_log = logging.getLogger(__name__)
_MAX_SLICE_TIME = 0.05  # seconds of retention in one turn of the loop
_CHECKPOINT_EVERY = 60.0
_RESERVE_EVERY = 10.0
_SCRUB_EVERY = 24 * 3600.0
_SCRUB_STEP_EVERY = 0.5
_SCRUB_AFTER = 60.0  # seconds after the start, or after the database was reopened
_MIN_INTERVAL = 30.0
_MAX_DRIFT = timedelta(minutes=10)  # of wall against monotonic time between two checks
_MAX_OFF = timedelta(days=30)  # since the newest row: a long downtime, or a wrong clock
_DISTRUST = 24 * 3600.0  # seconds for which a clock that jumped is not trusted


class ClockJumpDetector:
    """Detects jumps of the wall clock.

    After a jump (a dead battery, a wrong time server) nothing may be removed by its age until the
    clock has been steady for a day: time to notice and correct it. `newest` is when the newest row was
    stored, None in an empty database.
    """

    def __init__(self, clock: Clock, newest: datetime | None) -> None:
        self._clock = clock
        self._wall = clock.now()
        self._monotonic = clock.monotonic()
        self._distrusted_until = -math.inf
        if newest is not None and self._wall - newest > _MAX_OFF:
            self._distrust(self._wall - newest)

    def is_steady(self) -> bool:
        """Compare wall and monotonic time since the last call; return whether to trust the clock."""
        wall, monotonic = self._clock.now(), self._clock.monotonic()
        drift = wall - self._wall - timedelta(seconds=monotonic - self._monotonic)
        self._wall, self._monotonic = wall, monotonic
        if abs(drift) > _MAX_DRIFT:
            self._distrust(drift)
        return monotonic >= self._distrusted_until

    def _distrust(self, drift: timedelta) -> None:
        _log.error("the clock jumped by %s: for a day nothing is removed by its age", drift)
        self._distrusted_until = self._clock.monotonic() + _DISTRUST


class Maintenance:
    """Does what is due, in small steps, at every turn of the loop."""

    def __init__(
        self, rules: RetentionConfig, newest: datetime | None, *, clock: Clock, meter: Meter
    ) -> None:
        self._rules = rules
        self._clock = clock
        self._meter = meter
        self._jumps = ClockJumpDetector(clock, newest)
        self._pass: tuple[Retention, Iterator[None]] | None = None
        self._spent = 0.0
        self._started_at = -math.inf
        now = clock.monotonic()
        self._retention_at = now + min(30.0, rules.interval)
        self._checkpoint_at = now + _CHECKPOINT_EVERY
        self._reserve_at = now + _RESERVE_EVERY
        self._scrub: Iterator[None] | None = None
        self._scrub_at = now + _SCRUB_AFTER

    def configure(self, rules: RetentionConfig) -> None:
        """Apply other rules, starting with a pass: fewer days are set to gain space."""
        if rules != self._rules:
            self._rules = rules
            self.retain_soon()

    def retain_soon(self) -> None:
        """Start retention as soon as the minimum interval allows: space is needed."""
        earliest = self._started_at + _MIN_INTERVAL
        self._retention_at = min(self._retention_at, max(earliest, self._clock.monotonic()))

    def abandon_pass(self) -> None:
        """Abandon a pass that has begun: the store is another one now."""
        self._pass = None
        self._scrub = None
        self._scrub_at = self._clock.monotonic() + _SCRUB_AFTER

    @property
    def busy(self) -> bool:
        """Whether a pass can go on right now."""
        return self._pass is not None

    def turn(self, store: Store) -> None:
        """Do what is due.

        Raises:
            StoreError: the database cannot be used now; a pass that has begun is abandoned.
        """
        now = self._clock.monotonic()
        if now >= self._checkpoint_at:
            self._checkpoint_at = now + _CHECKPOINT_EVERY
            store.database.checkpoint()
        if now >= self._reserve_at:
            self._reserve_at = now + _RESERVE_EVERY
            self._refill_reserve(store)
        if now >= self._scrub_at:
            self._continue_scrub(store, now)
        if self._pass is None and now >= self._retention_at:
            self._start_pass(store)
        if self._pass is not None:
            self._continue_pass(now)

    def _refill_reserve(self, store: Store) -> None:
        if not store.reserve.complete and store.reserve.fill():
            _log.warning("there is space again: the reserve in %s is refilled", store.data_dir.path)

    def _continue_scrub(self, store: Store, now: float) -> None:
        """Search some rows or pictures for flipped bits; begin again a day after the end."""
        steps = self._scrub or scrub(store.database, store.pictures)
        self._scrub, self._scrub_at = None, now + _SCRUB_EVERY  # unless the step below succeeds
        if next(steps, self) is not self:
            self._scrub, self._scrub_at = steps, now + _SCRUB_STEP_EVERY

    def _start_pass(self, store: Store) -> None:
        self._started_at = self._clock.monotonic()
        self._retention_at = self._started_at + self._rules.interval
        now = self._clock.now()
        retention = Retention(store, self._rules, now, trust_clock=self._jumps.is_steady())
        self._pass = (retention, retention.slices())
        self._spent = 0.0

    def _continue_pass(self, began: float) -> None:
        assert self._pass is not None
        retention, slices = self._pass
        self._pass = None  # abandoned, unless the slices below succeed
        finished = False
        while not finished and self._clock.monotonic() - began < _MAX_SLICE_TIME:
            finished = next(slices, self) is self
        self._spent += self._clock.monotonic() - began
        if finished:
            self._finish(retention)
        else:
            self._pass = (retention, slices)

    def _finish(self, retention: Retention) -> None:
        for kind, count in retention.removed.items():
            self._meter.add(catalogue.RETENTION_REMOVED, {"kind": kind}, by=count)
        self._meter.observe(catalogue.RETENTION_SECONDS, self._spent)
        self._meter.set(catalogue.RETENTION_LAST_SUCCESS, self._clock.now().timestamp())
        if any(retention.removed.values()):
            _log.info("retention removed %s", retention.removed)
