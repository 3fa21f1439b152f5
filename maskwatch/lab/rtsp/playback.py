"""What a path of the server shows at which moment: the same for every client, as with a live camera."""

from __future__ import annotations

import enum
import threading
from dataclasses import dataclass, field

from maskwatch.lab.rtsp.clip import CLOCK_RATE, AccessUnit, Clip
from maskwatch.lab.rtsp.faults import Faults


@dataclass(frozen=True, slots=True)
class Segment:
    """A clip that is shown from `start` (monotonic seconds) on, once or in a loop.

    Frame numbers run on from pass to pass: frame `len(clip.units)` is the first of the second pass.
    """

    clip: Clip
    start: float
    loops: bool

    @property
    def end(self) -> float | None:
        """Monotonic second at which the last frame has been shown; None if it loops."""
        return None if self.loops else self.start + self.clip.seconds

    def unit(self, number: int) -> AccessUnit:
        """Return the frame with this number."""
        return self.clip.units[number % len(self.clip.units)]

    def has(self, number: int) -> bool:
        """Return whether there is a frame with this number."""
        return self.loops or number < len(self.clip.units)

    def due(self, number: int) -> float:
        """Return the monotonic second at which a frame is to be sent."""
        return self.start + (self._pass_ticks(number) + self.unit(number).decode) / CLOCK_RATE

    def present_ticks(self, number: int, epoch: float) -> int:
        """Return the RTP time of a frame in ticks since `epoch`, continuous over passes and segments."""
        base = round((self.start - epoch) * CLOCK_RATE)
        return base + self._pass_ticks(number) + self.unit(number).present

    def key_before(self, now: float) -> int:
        """Return the number of the last key frame due at or before `now`: where a client joins."""
        passes, within = self._position(now)
        return passes * len(self.clip.units) + self.clip.key_before(within)

    def number_at(self, now: float) -> int:
        """Return the number of the last frame due at or before `now`."""
        passes, within = self._position(now)
        return passes * len(self.clip.units) + self.clip.index_at(within)

    def _position(self, now: float) -> tuple[int, int]:
        """Return the pass that is shown at `now`, and the ticks since its beginning."""
        ticks = max(0, round((now - self.start) * CLOCK_RATE))
        return divmod(ticks, self.clip.length) if self.loops else (0, ticks)

    def _pass_ticks(self, number: int) -> int:
        return number // len(self.clip.units) * self.clip.length


class Playback:
    """The schedule of one camera: stills before and after, the clip in between.

    Thread-safe: the schedule is replaced as a whole, so that readers see the old or the new one.
    """

    def __init__(
        self,
        clip: Clip,
        *,
        loop: bool,
        epoch: float,
        before: Clip | None = None,
        after: Clip | None = None,
    ) -> None:
        self.clip = clip
        self.epoch = epoch
        self.started: float | None = None
        self._loop = loop
        self._after = after
        self._lock = threading.Lock()
        self._segments: tuple[Segment, ...] = ()
        if before is not None:
            self._segments = (Segment(before, epoch, loops=True),)

    def play(self, at: float) -> None:
        """Show the clip from its first frame at the monotonic second `at`."""
        with self._lock:
            self._play(at)

    def play_unless_started(self, at: float) -> None:
        """Play the clip at `at` unless it was started already: later clients join the first."""
        with self._lock:
            if self.started is None:
                self._play(at)

    def _play(self, at: float) -> None:
        main = Segment(self.clip, at, self._loop)
        schedule = [*self._before(at), main]
        if main.end is not None and self._after is not None:
            schedule.append(Segment(self._after, main.end, loops=True))
        self._segments = tuple(schedule)
        self.started = at

    def switch(self, clip: Clip, at: float) -> None:
        """Show another clip, looped, from `at` on: its size and codec may differ."""
        with self._lock:
            self._segments = (*self._before(at), Segment(clip, at, loops=True))

    def _before(self, at: float) -> tuple[Segment, ...]:
        return tuple(segment for segment in self._segments if segment.start < at)

    def current(self, now: float) -> Segment | None:
        """Return what is shown at `now`; None before the start and after the end."""
        started = [segment for segment in self._segments if segment.start <= now]
        if not started or (started[-1].end is not None and now >= started[-1].end):
            return None
        return started[-1]

    def described(self, now: float) -> Clip:
        """Return the clip that a client's DESCRIBE at `now` is answered with."""
        segment = self.current(now)
        return segment.clip if segment else self.clip

    def over(self, now: float) -> bool:
        """Return whether the last frame has been shown and nothing follows."""
        return bool(self._segments) and self.current(now) is None and (now >= self._segments[-1].start)


class Start(enum.Enum):
    """When a clip begins."""

    NOW = "now"
    """As soon as it is added."""
    CLIENT = "client"
    """On the first client's PLAY."""
    MANUAL = "manual"
    """On `RtspServer.play`; until then clients get its first frame as a still."""


@dataclass(slots=True)
class Counts:
    """What clients requested and received on one path since it was added."""

    connections: int = 0
    """Connections on which this path was requested."""
    described: int = 0
    """DESCRIBE requests answered with a description."""
    refused: int = 0
    """Requests answered with 401."""
    playing: int = 0
    """Clients that are playing now."""
    packets: int = 0
    """RTP packets sent, damaged ones included."""
    corrupted: int = 0
    """RTP packets sent with bytes overwritten."""
    dropped: int = 0
    """RTP packets that were not sent."""
    omitted: int = 0
    """Frames that were not sent, without a gap in the sequence numbers."""


@dataclass(slots=True)
class Mount:
    """A path that clients may request."""

    name: str
    playback: Playback
    start: Start
    faults: Faults = field(default_factory=Faults)
    counts: Counts = field(default_factory=Counts)
