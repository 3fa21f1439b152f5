"""What the store needs from time to time: retention in slices, checkpoints, the reserve made whole."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from datetime import datetime, timedelta

from maskwatch.clock import Clock
from maskwatch.config.schema import RetentionConfig
from maskwatch.store.database import Store
from maskwatch.store.retention import Retention
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter

__all__ = ["ClockJumpDetector", "Maintenance"]

_log = logging.getLogger(__name__)
_SLICES_AT_A_TIME = 0.05  # seconds of one pass before anything else has its turn
_CHECKPOINT_EVERY = 60.0
_RESERVE_EVERY = 10.0
_HURRY_EVERY = 30.0
_JUMP = timedelta(minutes=10)  # by which wall and monotonic time may drift apart between two looks
_LONG_OFF = timedelta(days=30)  # since the newest row: a long holiday, or a wrong clock
_STEADY = 24 * 3600.0  # seconds for which a clock that jumped is not trusted


class ClockJumpDetector:
    """Tells whether the wall clock has run steadily of late.

    After a jump (a dead battery, a wrong time server) nothing may be removed for its age, until
    the clock has been steady for a day: by then somebody has noticed, or it is right.
    """

    def __init__(self, clock: Clock, newest: datetime | None) -> None:
        """Begin to watch; `newest` is when the newest row was stored."""
        self._clock = clock
        self._wall = clock.now()
        self._monotonic = clock.monotonic()
        self._distrusted_until = -math.inf
        if newest is not None and self._wall - newest > _LONG_OFF:
            self._distrust(self._wall - newest)

    def steady(self) -> bool:
        """Compare wall and monotonic time since the last call; return whether to trust the clock."""
        wall, monotonic = self._clock.now(), self._clock.monotonic()
        drift = wall - self._wall - timedelta(seconds=monotonic - self._monotonic)
        self._wall, self._monotonic = wall, monotonic
        if abs(drift) > _JUMP:
            self._distrust(drift)
        return monotonic >= self._distrusted_until

    def _distrust(self, drift: timedelta) -> None:
        _log.error(
            "the clock seems to have jumped by %s: for a day nothing is removed for its age", drift
        )
        self._distrusted_until = self._clock.monotonic() + _STEADY


class Maintenance:
    """Does a little at every turn of the loop."""

    def __init__(
        self, rules: RetentionConfig, newest: datetime | None, *, clock: Clock, meter: Meter
    ) -> None:
        self.rules = rules
        self._clock = clock
        self._meter = meter
        self._watch = ClockJumpDetector(clock, newest)
        self._pass: tuple[Retention, Iterator[None]] | None = None
        self._spent = 0.0
        self._begun_at = -math.inf
        now = clock.monotonic()
        self._retention_at = now + min(30.0, rules.interval)
        self._checkpoint_at = now + _CHECKPOINT_EVERY
        self._reserve_at = now + _RESERVE_EVERY

    def change(self, rules: RetentionConfig) -> None:
        """Go by other rules from now on, and begin with a pass: who asks for less wants space."""
        if rules != self.rules:
            self.rules = rules
            self.hurry()

    def hurry(self) -> None:
        """Have retention begin at once, but not all the time: space is wanted."""
        soon = self._begun_at + _HURRY_EVERY
        self._retention_at = min(self._retention_at, max(soon, self._clock.monotonic()))

    def begin_anew(self) -> None:
        """Give up what was begun: the store is another one now."""
        self._pass = None

    @property
    def busy(self) -> bool:
        """Whether a pass has more to do right now."""
        return self._pass is not None

    def turn(self, store: Store) -> None:
        """Do what is due.

        Raises:
            StoreError: the database cannot be used now; what was begun is given up till next time.

        """
        now = self._clock.monotonic()
        if now >= self._checkpoint_at:
            self._checkpoint_at = now + _CHECKPOINT_EVERY
            store.checkpoint()
        if now >= self._reserve_at:
            self._reserve_at = now + _RESERVE_EVERY
            self._refill(store)
        if self._pass is None and now >= self._retention_at:
            self._begin(store)
        if self._pass is not None:
            self._go_on(now)

    def _refill(self, store: Store) -> None:
        if not store.reserve.whole and store.reserve.fill():
            _log.warning("there is space again: the reserve in %s is whole", store.place.path)

    def _begin(self, store: Store) -> None:
        self._begun_at = self._clock.monotonic()
        self._retention_at = self._begun_at + self.rules.interval
        now = self._clock.now()
        retention = Retention(store, self.rules, now, trust_clock=self._watch.steady())
        self._pass = (retention, retention.slices())
        self._spent = 0.0

    def _go_on(self, began: float) -> None:
        assert self._pass is not None
        retention, slices = self._pass
        self._pass = None  # given up, unless the slices below go well
        finished = False
        while not finished and self._clock.monotonic() - began < _SLICES_AT_A_TIME:
            finished = next(slices, self) is self
        self._spent += self._clock.monotonic() - began
        if finished:
            self._finish(retention)
        else:
            self._pass = (retention, slices)

    def _finish(self, retention: Retention) -> None:
        for kind, count in retention.removed.items():
            self._meter.add(catalogue.RETENTION_REMOVED, {"kind": kind}, by=count)
        bounds = catalogue.METRICS[catalogue.RETENTION_SECONDS].buckets
        self._meter.observe(catalogue.RETENTION_SECONDS, self._spent, bounds)
        self._meter.set(catalogue.RETENTION_LAST_SUCCESS, self._clock.now().timestamp())
        if any(retention.removed.values()):
            _log.info("retention removed %s", retention.removed)
