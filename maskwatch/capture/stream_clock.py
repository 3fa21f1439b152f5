"""Relates a stream's time stamps to this machine's clock, and notices when decoding falls behind.

Cameras stamp their pictures with clocks that run slow or fast, stand still, jump, or begin anywhere.
So time stamps alone never make a packet late: a reader that has to wait for packets keeps up with
them, whatever they say.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

# Share of the time that a reader must have waited for packets to count as one that keeps up.
_IDLE_SHARE = 0.1
_SHARE_WINDOW_S = 1.0
_MAX_LAG_S = 2.0
_JUMP_S = 5.0
_BACKWARDS_S = 1.0
# Arrival less stamp is compared over this time: the least difference counts as no delay.
_REFERENCE_WINDOW_S = 3.0
# The clock's rate is measured over this time; a second of pictures may arrive at a time.
_RATE_WINDOW_S = 20.0
_MIN_RATE_WINDOW_S = 5.0
_RATES = (0.93, 1.07)
_ANY_RATES = (0.6, 1.6)  # within the shorter window
_MAX_POINTS = 4096
# In a row. FFmpeg gives the first packets of a stream no stamps.
_MAX_MISSING = 50
_MAX_EQUAL = 4
# As many as a minute has at the most usual rate: few streams have a longer key-frame interval.
_MAX_SKIPPED = 1500


class KeepUpMeter:
    """Tells from the time that the reader waits for packets whether it keeps up with them."""

    def __init__(self) -> None:
        self._waited = 0.0
        self._passed = 0.0

    def add(self, waited: float, passed: float) -> None:
        """Add the seconds waited for a packet, and all seconds since the last call."""
        if self._passed > _SHARE_WINDOW_S:
            self._waited /= 2
            self._passed /= 2
        self._waited += waited
        self._passed += passed

    def reset(self) -> None:
        self._waited = self._passed = 0.0

    @property
    def known(self) -> bool:
        """Whether enough time was measured."""
        return self._passed >= _SHARE_WINDOW_S / 2

    @property
    def keeps_up(self) -> bool:
        return self._waited >= _IDLE_SHARE * self._passed


@dataclass(frozen=True, slots=True)
class _Point:
    arrival: float
    stamp: float

    @property
    def offset(self) -> float:
        return self.arrival - self.stamp


class StreamClock:
    """The time stamps of one stream against arrival; times are seconds of either clock.

    Attributes:
        oddity: what is wrong with the stream's clock, in words; "" for a sound one.
    """

    def __init__(self) -> None:
        self.oddity = ""
        self._points: deque[_Point] = deque(maxlen=_MAX_POINTS)
        self._last: _Point | None = None
        self._references: deque[_Point] = deque()
        self._equal = self._missing = 0
        self._kept_up = 0.0

    def delay(self, stamp: float | None, arrival: float, *, keeps_up: bool) -> float:
        """Return by how many seconds a packet is late, or 0 where stamps do not show it."""
        if keeps_up:
            self._kept_up = arrival
        if stamp is None:
            self._missing += 1
            if self._missing > _MAX_MISSING:
                self.oddity = "its pictures have no time stamps"
            return 0.0
        if self._missing > _MAX_MISSING:
            self.oddity = ""
        self._missing = 0
        self._add(_Point(arrival, stamp), keeps_up=keeps_up)
        if self.oddity or not self._references:
            return 0.0
        return max(0.0, arrival - stamp - self._references[0].offset)

    def behind(self, delay: float, arrival: float) -> bool:
        """Return whether decoding lags, given the delay of the newest packet."""
        since = arrival - self._kept_up
        return since > 0 and max(delay, since if self.oddity else 0.0) > _MAX_LAG_S

    def _add(self, point: _Point, *, keeps_up: bool) -> None:
        last, self._last = self._last, point
        if last is not None and self._is_new_beginning(last, point):
            self._points.clear()
            self._references.clear()
        self._equal = self._equal + 1 if last is not None and last.stamp == point.stamp else 0
        if keeps_up or not self._references:
            self._refer(point)
        if keeps_up:
            self._points.append(point)
            while point.arrival - self._points[0].arrival > _RATE_WINDOW_S:
                self._points.popleft()
            self._judge()
        else:
            self._points.clear()  # the rate of the reader is not that of the clock

    def _is_new_beginning(self, last: _Point, point: _Point) -> bool:
        """Return whether either clock jumped between two packets."""
        ahead = point.stamp - last.stamp
        passed = point.arrival - last.arrival
        return ahead < -_BACKWARDS_S or ahead > passed + _JUMP_S

    def _refer(self, point: _Point) -> None:
        """Keep the least offset of the latest seconds first."""
        while self._references and self._references[-1].offset >= point.offset:
            self._references.pop()
        self._references.append(point)
        while point.arrival - self._references[0].arrival > _REFERENCE_WINDOW_S:
            self._references.popleft()

    def _judge(self) -> None:
        first, last = self._points[0], self._points[-1]
        passed = last.arrival - first.arrival
        if self._equal > _MAX_EQUAL:
            self.oddity = "its time stamps stand still"
        elif passed >= _MIN_RATE_WINDOW_S:
            low, high = _RATES if passed > _RATE_WINDOW_S - 1 else _ANY_RATES
            rate = (last.stamp - first.stamp) / passed
            sound = low <= rate <= high
            self.oddity = "" if sound else f"its clock runs at {rate:.2f} of real time"


class Skipping:
    """Skips packets from where decoding lags to where it can begin again.

    A stream without such a place is decoded again some packets after the lag has ended.
    """

    def __init__(self) -> None:
        self._left = 0

    @property
    def active(self) -> bool:
        return self._left > 0

    def skips(self, *, behind: bool, begins: bool) -> bool:
        """Return whether to skip a packet; decoding may begin at one that `begins`."""
        if behind:
            self._left = _MAX_SKIPPED
        skips = self.active and not begins
        self._left = self._left - 1 if skips else 0
        return skips


class PauseDetector:
    """Notices a packet that came after a pause: it holds a picture from before the pause.

    FFmpeg returns a picture when the next one begins, or when its time-out has passed.
    """

    _MIN_PAUSE_S = 1.0
    _MIN_INTERVALS = 3.0
    _SMOOTHING = 0.3

    def __init__(self) -> None:
        self._last: float | None = None
        self._stamp: float | None = None
        self._interval = 0.0

    def paused(self, now: float, stamp: float | None = None) -> bool:
        """Return whether the packet that arrived now followed a pause; call it for every packet.

        A stamp that advanced as far as arrival did shows a slow stream, not a pause.
        """
        last, self._last = self._last, now
        before, self._stamp = self._stamp, stamp
        if last is None:
            return False
        passed = now - last
        media = max(0.0, stamp - before) if stamp is not None and before is not None else 0.0
        paused = passed - media > max(self._MIN_PAUSE_S, self._MIN_INTERVALS * self._interval - media)
        limited = min(passed, 1 / self._SMOOTHING)
        self._interval += self._SMOOTHING * (limited - self._interval)
        return paused
