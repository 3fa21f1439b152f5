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


def native_size(size: Size) -> Size:
    """Analyse at the camera's own size."""
    return size


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """Properties of a stream; `rate` is the declared frames per second, 0 if unknown."""

    codec: str
    size: Size
    rate: float
    transport: str


@dataclass(slots=True)
class SourceCounts:
    """Cumulative counts of frames. Written by one thread, read by any."""

    decoded: int = 0
    """Pictures that the decoder returned."""
    damaged: int = 0
    """Pictures not used since they, or one they build on, arrived damaged."""
    sampled: int = 0
    """Pictures chosen for analysis."""
    skipped: int = 0
    """Sampled pictures that a newer one replaced before they were read."""
    late: int = 0
    """Packets skipped without decoding, to catch up with the stream."""
    decoding: HistogramBuffer = field(
        default_factory=lambda: HistogramBuffer(catalogue.DECODE_SECONDS), compare=False, repr=False
    )
    """Seconds that each packet took to decode."""


class RateSampler:
    """Selects about `rate` frames per second, on a fixed grid of time slots."""

    def __init__(self, rate: float, *, early: float) -> None:
        """`early` is the fraction of a slot by which a frame may come early, against jitter."""
        self._rate = rate
        self._early = early
        self._first: float | None = None
        self._last: int | None = None

    def is_due(self, moment: float) -> bool:
        """Return whether the frame at `moment` (seconds) opens a new slot. Time may jump back."""
        self._first = moment if self._first is None else self._first
        slot = math.floor((moment - self._first) * self._rate + self._early)
        if slot == self._last:
            return False
        self._last = slot
        return True
