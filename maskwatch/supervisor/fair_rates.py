"""Decides how far the rates of cameras are lowered while the machine cannot analyse all frames.

All cameras that are lowered are lowered by one factor of the rate that each asks for. A camera that
uses little processor time keeps its rate, since lowering it would leave no time to the others.
Lowering follows a measurement; raising is tried in steps, each after a pause that doubles when the
last step proved too much.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from maskwatch.domain.camera import OVERLOADED_BELOW

_log = logging.getLogger(__name__)

_WINDOW_S = 20.0
_STEP_S = 1.0
# Of fewer frames, the loss of one or two would count.
_MIN_DUE = 5
# Shares of the due frames: below the first a rate is lowered, below the second one that already is;
# from the third on it may rise.
_LOSING_BELOW = OVERLOADED_BELOW
_STILL_LOSING_BELOW = 0.85
_SOUND_FROM = 0.95
_LOWEST_STEP = 0.5
_RAISE = 1.5
_MIN_RATE = 1.0
_MIN_FACTOR = 0.01
_PAUSE_S = 30.0
_MAX_PAUSE_S = 600.0
# A rate that must be lowered within this time after a raise was raised too far.
_TRIAL_S = 60.0
# Seconds per second in which threads of a worker wait for a processor on a machine that is short of it.
_CONTENDED = 0.1
# A camera that uses less than this share of the average, or fewer processors, has none to give away.
_LIGHT_SHARE = 0.5
_LIGHT = 0.05


@dataclass(frozen=True, slots=True)
class CameraLoad:
    """What a live camera's worker has done since it started.

    Attributes:
        process: the worker's process id.
        asked, rate: frames per second that the configuration asks for, and that are due now.
        analysed, lost: frames that were due, and were or were not analysed.
        cpu, waited: seconds for which its threads had a processor, and waited for one.
    """

    camera: str
    process: int
    asked: float
    rate: float
    analysed: int
    lost: int
    cpu: float
    waited: float


@dataclass(frozen=True, slots=True)
class _Measurement:
    """The share of a camera's due frames that were analysed in the last window, and loads per second."""

    camera: str
    share: float
    cpu: float
    waited: float


class _Window:
    """The loads of one camera over the last `_WINDOW_S`, all at one rate."""

    def __init__(self) -> None:
        self._points: deque[tuple[float, CameraLoad]] = deque()

    def add(self, now: float, load: CameraLoad) -> None:
        if self._points:
            then, last = self._points[-1]
            if (last.process, last.rate) != (load.process, load.rate):
                self._points.clear()
            elif now - then < _STEP_S:
                return
        if load.analysed:  # the time before the first frame is that of loading the models
            self._points.append((now, load))
        while len(self._points) > 1 and now - self._points[1][0] >= _WINDOW_S:
            self._points.popleft()

    def measurement(self) -> _Measurement | None:
        """Return what the window shows; None until it is full, or if few frames were due."""
        if not self._points:
            return None
        (begun, first), (now, last) = self._points[0], self._points[-1]
        passed = now - begun
        analysed, lost = last.analysed - first.analysed, last.lost - first.lost
        if passed < _WINDOW_S or analysed + lost < _MIN_DUE:
            return None
        share = analysed / (analysed + lost)
        cpu, waited = (last.cpu - first.cpu) / passed, (last.waited - first.waited) / passed
        return _Measurement(last.camera, share, cpu, waited)


class FairRates:
    """Holds the factor, and the cameras that it applies to; times are monotonic seconds."""

    def __init__(self) -> None:
        self.factor = 1.0
        self.lowered: frozenset[str] = frozenset()
        self._windows: dict[str, _Window] = {}
        self._changed_at = self._raised_at = float("-inf")
        self._pause = _PAUSE_S

    def rate(self, camera: str, asked: float) -> float:
        """Return how many frames of a camera to analyse per second now."""
        if camera not in self.lowered:
            return asked
        return max(min(asked, _MIN_RATE), asked * self.factor)

    def update(self, loads: Sequence[CameraLoad], now: float) -> None:
        """Lower or raise the factor by the loads of all live cameras."""
        measured = self._measure(loads, now)
        losing = [each for each in measured if each.share < self._limit(each.camera)]
        if losing:
            self._lower(losing, measured, loads, now)
        elif self.lowered and now - self._changed_at >= self._pause:
            own = [each for each in measured if each.camera in self.lowered]
            if all(each.share >= _SOUND_FROM for each in own):
                self._raise(now)

    def _limit(self, camera: str) -> float:
        return _STILL_LOSING_BELOW if camera in self.lowered else _LOSING_BELOW

    def _measure(self, loads: Sequence[CameraLoad], now: float) -> list[_Measurement]:
        windows = {load.camera: self._windows.get(load.camera, _Window()) for load in loads}
        for load in loads:
            if load.rate == self.rate(load.camera, load.asked):  # the worker has applied the last change
                windows[load.camera].add(now, load)
        self._windows = windows
        found = (window.measurement() for window in windows.values())
        return [each for each in found if each is not None]

    def _lower(
        self,
        losing: list[_Measurement],
        measured: list[_Measurement],
        loads: Sequence[CameraLoad],
        now: float,
    ) -> None:
        concerned = {each.camera for each in losing}
        if any(each.waited > _CONTENDED for each in losing):
            average = sum(each.cpu for each in measured) / len(measured)
            light = max(_LIGHT, _LIGHT_SHARE * average)
            concerned |= {each.camera for each in measured if each.cpu >= light}
        before = {load.camera: self.rate(load.camera, load.asked) for load in loads}
        was = self.factor, self.lowered
        if concerned <= self.lowered or not self.lowered:
            worst = min(each.share for each in losing)
            self.factor = max(_MIN_FACTOR, self.factor * max(_LOWEST_STEP, worst))
        self.lowered |= concerned
        if before == {load.camera: self.rate(load.camera, load.asked) for load in loads}:
            self.factor, self.lowered = was  # all are as low as they may be
            return
        failed = now - self._raised_at < _TRIAL_S
        self._pause = min(_MAX_PAUSE_S, 2 * self._pause) if failed else _PAUSE_S
        self._change(now)
        _log.warning("analysis rates lowered", extra=self._fields)

    def _raise(self, now: float) -> None:
        if self._changed_at == self._raised_at:
            self._pause = _PAUSE_S  # the last raise was right
        self.factor = min(1.0, self.factor * _RAISE)
        fields = self._fields
        if self.factor == 1.0:
            self.lowered = frozenset()
        self._raised_at = now
        self._change(now)
        _log.info("analysis rates raised", extra=fields)

    def _change(self, now: float) -> None:
        self._changed_at = now
        self._windows.clear()

    @property
    def _fields(self) -> dict[str, object]:
        return {"factor": round(self.factor, 3), "cameras": ", ".join(sorted(self.lowered))}
