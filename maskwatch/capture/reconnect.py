"""Decides when a camera is connected again; no other place does.

Pure: the time is an argument, chance a generator, and nothing here waits. `maskwatch.capture.camera`
reports what happened and does what the state requires.

::

    BACKOFF --due--> CONNECTING --first frame--> LIVE <--health--> BLIND
       ^                 |                        |                  |
       +---- closed -- STALLED <----- failed -----+------------------+
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import datetime

from maskwatch.backoff import Backoff
from maskwatch.domain.camera import BlindReason, CameraState, ReportedState
from maskwatch.errors import SourceError, SourceUnauthorizedError

_DEFAULT = Backoff(first=1.0, cap=60.0, floor=0.2)
_UNAUTHORIZED = Backoff(first=300.0, cap=300.0, min_fraction=0.5)


@dataclass(frozen=True, slots=True)
class ReconnectDelays:
    """How long to wait before the next attempt to connect."""

    default: Backoff = _DEFAULT
    unauthorized: Backoff = _UNAUTHORIZED
    """After a 401: cameras lock an account after a few wrong passwords."""

    def after(self, error: SourceError, attempt: int, rng: random.Random) -> float:
        """Return the seconds to wait after the `attempt`th failure in a row (from 1)."""
        backoff = self.unauthorized if isinstance(error, SourceUnauthorizedError) else self.default
        return backoff.wait(attempt, rng)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a state may last before the worker counts as hung; all in seconds."""

    open: float = 10.0
    """From connecting to the first frame."""
    stall: float = 5.0
    """From one frame to the next, and for a native call to end after that."""
    grace: float = 5.0
    """What the supervisor adds to each before it kills."""


@dataclass(frozen=True, slots=True)
class ConnectionStatus(ReportedState):
    """A connection's state, with what only its worker needs. Moments are monotonic seconds.

    Attributes:
        leave_by: the moment by which it must be left or confirmed; None for never.
        retry_at: the moment of the next attempt; it only counts in BACKOFF.
        attempt: failures in a row.
    """

    leave_by: float | None
    retry_at: float
    attempt: int

    def retry_in(self, now: float) -> float:
        """Return the seconds until the next attempt, 0 unless in BACKOFF."""
        return max(0.0, self.retry_at - now) if self.state is CameraState.BACKOFF else 0.0


class ReconnectState:
    """The state of one camera's connection. Moments are monotonic seconds.

    The replacement of a killed worker starts with the `attempt` of that one, and waits as it would
    have; attempt 0 connects immediately.
    """

    def __init__(
        self,
        now: float,
        *,
        delays: ReconnectDelays | None = None,
        timeouts: Timeouts | None = None,
        rng: random.Random | None = None,
        attempt: int = 0,
    ) -> None:
        self.delays = delays or ReconnectDelays()
        self.timeouts = timeouts or Timeouts()
        self.attempt = attempt
        self.state = CameraState.BACKOFF
        self.reason = "starting" if attempt == 0 else "replacing a worker that hung"
        self.retry_at = now
        self._rng = rng or random.Random()  # noqa: S311 - jitter is no secret
        self._entered = now
        self._last_frame = now
        if attempt > 0:
            self.retry_at += self.delays.default.wait(attempt, self._rng)

    def status(self, since: datetime) -> ConnectionStatus:
        """Return the state for reports; `since` (UTC) is when it began."""
        return ConnectionStatus(
            self.state, self.reason, since, self.leave_by, self.retry_at, self.attempt
        )

    def due(self, now: float) -> bool:
        return self.state is CameraState.BACKOFF and now >= self.retry_at

    def connecting(self, now: float) -> None:
        self._enter(CameraState.CONNECTING, "connecting", now)

    def frame(self, now: float) -> None:
        """Report a good frame: only this makes a camera live, and ends the row of failures."""
        self._last_frame = now
        self.attempt = 0
        if self.state is CameraState.CONNECTING:
            self._enter(CameraState.LIVE, "", now)

    def health(self, blind: BlindReason | None, now: float) -> None:
        """Report the health of the pictures: why the camera is blind, or None."""
        if self.state in (CameraState.LIVE, CameraState.BLIND):
            if blind is not None and (self.state, self.reason) != (CameraState.BLIND, blind.value):
                self._enter(CameraState.BLIND, blind.value, now)
            elif blind is None and self.state is CameraState.BLIND:
                self._enter(CameraState.LIVE, "", now)

    def failed(self, error: SourceError, now: float) -> None:
        """Report a failure: sets the time of the next attempt; the old connection must close."""
        self.attempt += 1
        self.retry_at = now + self.delays.after(error, self.attempt, self._rng)
        self._enter(CameraState.STALLED, str(error), now)

    def closed(self, now: float) -> None:
        if self.state is CameraState.STALLED:
            self._enter(CameraState.BACKOFF, self.reason, now)

    @property
    def leave_by(self) -> float | None:
        """The moment by which this state must have been left or confirmed; None for never.

        A worker that is still in it later is hung.
        """
        grace = self.timeouts.grace
        match self.state:
            case CameraState.CONNECTING:
                return self._entered + self.timeouts.open + grace
            case CameraState.LIVE | CameraState.BLIND:
                return self._last_frame + self.timeouts.stall + grace
            case CameraState.STALLED:
                return self._entered + self.timeouts.stall + grace
            case CameraState.BACKOFF:
                return self.retry_at + grace
            case CameraState.DISABLED | CameraState.QUARANTINED:
                return None

    def _enter(self, state: CameraState, reason: str, now: float) -> None:
        self.state = state
        self.reason = reason
        self._entered = now
