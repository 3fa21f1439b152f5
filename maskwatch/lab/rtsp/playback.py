"""What a camera shows at which moment, the same for every client, as a live camera has it."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from maskwatch.lab.rtsp.clip import CLOCK_RATE, AccessUnit, Clip

__all__ = ["Playback", "Segment"]


@dataclass(frozen=True, slots=True)
class Segment:
    """A clip that is shown from `start` (monotonic seconds) on, once or for ever.

    Frames are counted through: frame `len(clip.units)` is the first of the second pass.
    """

    clip: Clip
    start: float
    loops: bool

    @property
    def end(self) -> float | None:
        """When the last frame has been shown; None if it loops."""
        return None if self.loops else self.start + self.clip.seconds

    def unit(self, number: int) -> AccessUnit:
        """The frame with this number."""
        return self.clip.units[number % len(self.clip.units)]

    def has(self, number: int) -> bool:
        """Whether there is a frame with this number."""
        return self.loops or number < len(self.clip.units)

    def due(self, number: int) -> float:
        """The monotonic second at which a frame is to be sent."""
        return self.start + (self._pass_ticks(number) + self.unit(number).decode) / CLOCK_RATE

    def present_ticks(self, number: int, epoch: float) -> int:
        """The RTP time of a frame, in ticks since `epoch`; goes on over passes and segments."""
        base = round((self.start - epoch) * CLOCK_RATE)
        return base + self._pass_ticks(number) + self.unit(number).present

    def key_before(self, now: float) -> int:
        """Number of the last key frame due at or before `now`: where a client joins."""
        ticks = max(0, round((now - self.start) * CLOCK_RATE))
        passes, within = divmod(ticks, self.clip.length) if self.loops else (0, ticks)
        return passes * len(self.clip.units) + self.clip.key_before(within)

    def _pass_ticks(self, number: int) -> int:
        return number // len(self.clip.units) * self.clip.length


class Playback:
    """The programme of one camera: stills before and after, the clip in between.

    Thread-safe: the programme is replaced as a whole, and readers see the old or the new.
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
        """Like `play`, for the first client; the later ones join what is running."""
        with self._lock:
            if self.started is None:
                self._play(at)

    def _play(self, at: float) -> None:
        main = Segment(self.clip, at, self._loop)
        programme = [*self._before(at), main]
        if main.end is not None and self._after is not None:
            programme.append(Segment(self._after, main.end, loops=True))
        self._segments = tuple(programme)
        self.started = at

    def switch(self, clip: Clip, at: float) -> None:
        """Show another clip, looped, from `at` on: a change of size or codec in mid-stream."""
        with self._lock:
            self._segments = (*self._before(at), Segment(clip, at, loops=True))

    def _before(self, at: float) -> tuple[Segment, ...]:
        return tuple(segment for segment in self._segments if segment.start < at)

    def current(self, now: float) -> Segment | None:
        """What is shown at `now`; None before the start and after the end."""
        begun = [segment for segment in self._segments if segment.start <= now]
        if not begun or (begun[-1].end is not None and now >= begun[-1].end):
            return None
        return begun[-1]

    def described(self, now: float) -> Clip:
        """The clip that is described to a client which asks at `now`."""
        segment = self.current(now)
        return segment.clip if segment else self.clip

    def over(self, now: float) -> bool:
        """Whether the last frame has been shown and nothing follows."""
        return bool(self._segments) and self.current(now) is None and (now >= self._segments[-1].start)
