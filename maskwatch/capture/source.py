"""What sources of frames share: the stream's properties, counts, and the sampling rate."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import HistogramBuffer

Size = tuple[int, int]
"""(width, height) in pixels."""

Fit = Callable[[Size], Size]
"""Maps the upright size of the camera's picture to the size at which it is analysed."""


def square_size(size: Size, pixel_aspect: float) -> Size:
    """Return the size of a picture in square pixels; no side is shorter than as stored."""
    width, height = size
    if pixel_aspect >= 1:
        return round(width * pixel_aspect), height
    return width, round(height / pixel_aspect)


def native_size(size: Size) -> Size:
    """Analyse at the camera's own size."""
    return size


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """Properties of a stream.

    Attributes:
        codec: FFmpeg's name.
        size: as stored.
        rate: the declared frames per second, 0 if unknown.
        transport: tcp, udp or file.
        track, tracks: number of the video track that is analysed, from 0, and how many there are.
        pixel_aspect: width of a pixel over its height.
    """

    codec: str
    size: Size
    rate: float
    transport: str
    track: int = 0
    tracks: int = 1
    pixel_aspect: float = 1.0

    @property
    def notes(self) -> list[str]:
        """What an operator should know of the stream, in words."""
        notes = []
        if self.tracks > 1:
            notes.append(
                f"{self.tracks} video tracks: track {self.track} ({self.codec}, "
                f"{self.size[0]} x {self.size[1]}) is analysed; `video_track` chooses another"
            )
        if self.pixel_aspect != 1.0:
            width, height = square_size(self.size, self.pixel_aspect)
            notes.append(
                f"the pixels are not square ({self.pixel_aspect:.3g} to 1): analysed as "
                f"{width} x {height}"
            )
        return notes


@dataclass(slots=True)
class SourceCounts:
    """Cumulative counts of frames. Written by one thread, read by any."""

    decoded: int = 0
    """Pictures that the decoder returned."""
    damaged: int = 0
    """Pictures not used since they, or one they build on, arrived damaged."""
    no_key: int = 0
    """Packets and pictures from before the first key picture of a connection."""
    sampled: int = 0
    """Pictures chosen for analysis."""
    skipped: int = 0
    """Sampled pictures that a newer one replaced before they were read."""
    late: int = 0
    """Packets skipped without decoding, to catch up with the stream."""
    missed: int = 0
    """Pictures that would have been sampled, had they not been skipped as late."""
    reduced: int = 0
    """Pictures not sampled since the rate is lower than the configuration asks for."""
    decoding: HistogramBuffer = field(
        default_factory=lambda: HistogramBuffer(catalogue.DECODE_SECONDS), compare=False, repr=False
    )
    """Seconds that each packet took to decode."""


class RateSampler:
    """Selects about `rate` frames per second, on a fixed grid of time slots.

    Attributes:
        taken: slots of which a frame was selected.
        missed: slots of which every frame was lost.
    """

    def __init__(self, rate: float, *, early: float) -> None:
        """`early` is the fraction of a slot by which a frame may come early, against jitter."""
        self.taken = self.missed = 0
        self._rate = rate
        self._early = early
        self._first: float | None = None
        self._last: int | None = None
        self._lost: int | None = None

    def is_due(self, moment: float) -> bool:
        """Return whether the frame at `moment` (seconds) opens a new slot. Time may jump back."""
        slot = self._slot(moment)
        if slot == self._last:
            return False
        self._settle(slot)
        self._last = slot
        self.taken += 1
        return True

    def lose(self, moment: float) -> None:
        """Note that the frame at `moment` cannot be had; another of its slot may come."""
        slot = self._slot(moment)
        if slot not in (self._last, self._lost):
            self._settle(slot)
            self._lost = slot

    def _slot(self, moment: float) -> int:
        self._first = moment if self._first is None else self._first
        return math.floor((moment - self._first) * self._rate + self._early)

    def _settle(self, slot: int) -> None:
        """Count the slot whose frame was lost as missed, unless `slot` is the same one."""
        self.missed += self._lost not in (None, slot)
        self._lost = None


class AdjustableSampler:
    """Selects frames at a rate that may be lowered for a time, evenly spaced at either rate.

    Attributes:
        reduced: slots at the asked rate that the lower rate left out; never falls.
    """

    def __init__(self, rate: float, *, early: float) -> None:
        """`rate` is the asked one; `early` is that of `RateSampler`."""
        self.reduced = 0
        self._rate = rate
        self._early = early
        self._asked = RateSampler(rate, early=early)
        self._current = RateSampler(rate, early=early)
        self._taken_before = self._missed_before = 0

    @property
    def missed(self) -> int:
        """Slots at the rates in force of which every frame was lost."""
        return self._missed_before + self._current.missed

    def set_rate(self, rate: float) -> None:
        """Select `rate` frames per second from now on, and never more than asked."""
        self._taken_before += self._current.taken
        self._missed_before += self._current.missed
        self._current = RateSampler(min(rate, self._rate), early=self._early)

    def is_due(self, moment: float) -> bool:
        """Return whether the frame at `moment` (seconds) opens a new slot. Time may jump back."""
        self._asked.is_due(moment)
        due = self._current.is_due(moment)
        self._compare()
        return due

    def lose(self, moment: float) -> None:
        """Note that the frame at `moment` cannot be had; another of its slot may come."""
        self._asked.lose(moment)
        self._current.lose(moment)
        self._compare()

    def _compare(self) -> None:
        asked = self._asked.taken + self._asked.missed
        self.reduced = max(self.reduced, asked - self._taken_before - self._current.taken - self.missed)
