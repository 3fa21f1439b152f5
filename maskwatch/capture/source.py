"""What a camera or a file is to the pipeline: something that gives the newest frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

from maskwatch.domain.frame import Frame
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import HistogramBuffer

__all__ = ["Fit", "FrameSource", "RateSampler", "Size", "SourceCounts", "StreamInfo", "native_size"]

Size = tuple[int, int]
"""(width, height) in pixels."""

Fit = Callable[[Size], Size]
"""From the upright size of the camera's picture to the size it is analysed at."""


def native_size(size: Size) -> Size:
    """Analyse at the camera's own size."""
    return size


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a source turned out to be; `rate` is frames a second, 0 if the stream does not say."""

    codec: str
    size: Size
    rate: float
    transport: str


@dataclass(slots=True)
class SourceCounts:
    """Cumulative counts of frames. Written by one thread, read by any."""

    decoded: int = 0
    """Pictures that came out of the decoder."""
    damaged: int = 0
    """Pictures not used since they, or one they build on, arrived damaged."""
    sampled: int = 0
    """Pictures chosen for analysis."""
    skipped: int = 0
    """Sampled pictures replaced by a newer one before anybody took them."""
    late: int = 0
    """Packets thrown away undecoded, to catch up with a stream that runs ahead."""
    decoding: HistogramBuffer = field(
        default_factory=lambda: HistogramBuffer(catalogue.DECODE_SECONDS), compare=False, repr=False
    )
    """Seconds that each packet took to decode."""


class FrameSource(Protocol):
    """Gives frames; a context manager. Errors are those under `maskwatch.errors.SourceError`."""

    counts: SourceCounts

    @property
    def info(self) -> StreamInfo | None:
        """What the stream is, once that is known."""
        ...

    def read(self, timeout: float) -> Frame | None:
        """Return the next frame, or None if there is none within `timeout` seconds.

        Raises SourceError when there will be none any more: SourceEndedError at a file's end.
        """
        ...

    def __iter__(self) -> Iterator[Frame]:
        """Give frame after frame; a file ends, a camera raises SourceError."""
        ...

    def close(self) -> None:
        """Give everything back; may be called twice."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


class RateSampler:
    """Picks frames so that about `rate` a second are analysed, on the beat of a fixed grid."""

    def __init__(self, rate: float, *, early: float) -> None:
        """`early` is the part of a beat that a frame may come early, against jitter."""
        self._rate = rate
        self._early = early
        self._first: float | None = None
        self._last: int | None = None

    def is_due(self, moment: float) -> bool:
        """Whether the frame at `moment` (seconds) opens a new beat. Time may jump back."""
        self._first = moment if self._first is None else self._first
        beat = math.floor((moment - self._first) * self._rate + self._early)
        if beat == self._last:
            return False
        self._last = beat
        return True
