"""One connection to a camera: a thread decodes all of it, the reader gets the newest sampled frame.

The thread never waits for the reader, and the reader never waits for a native call: without a good
picture in time it raises, even while FFmpeg hangs. Only closing may have to wait.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

from maskwatch.capture.container import StreamOptions
from maskwatch.capture.mailbox import Mailbox, Sample
from maskwatch.capture.reader import Obstacle, StreamReader
from maskwatch.capture.source import Fit, SourceCounts, StreamInfo, native_size
from maskwatch.clock import Clock, SystemClock
from maskwatch.domain.frame import Frame
from maskwatch.errors import (
    SourceError,
    SourceGarbageError,
    SourceNoKeyPictureError,
    SourceOverloadError,
    SourceSilentError,
)

if TYPE_CHECKING:
    from maskwatch.capture.picture import FrameMaker


# A picture may be whole only once the next one begins, and the first of a stream is held back.
_NEEDED_PICTURES = 3
_OBSTACLES: dict[Obstacle, tuple[type[SourceError], str]] = {
    Obstacle.NO_KEY: (
        SourceNoKeyPictureError,
        "no key picture within {:g} s; set the camera's key-frame (I-frame) interval to 2 s or less",
    ),
    Obstacle.LATE: (
        SourceOverloadError,
        "for {:g} s pictures came faster than this machine decodes them; use a smaller stream",
    ),
    Obstacle.DAMAGED: (SourceGarbageError, "only damaged pictures for {:g} s; check the network"),
}


class RtspSource:
    """One connection to a camera; it is opened at the first `read`, and never reopened.

    `rate` is in frames a second to analyse; `rotation`, in degrees clockwise, turns the picture upright.
    """

    def __init__(
        self,
        options: StreamOptions,
        *,
        rate: float = 5.0,
        fit: Fit = native_size,
        rotation: int = 0,
        clock: Clock | None = None,
        counts: SourceCounts | None = None,
    ) -> None:
        self.counts = counts or SourceCounts()
        self._options = options
        self._fit = fit
        self._rotation = rotation
        self._clock = clock or SystemClock()
        self._mailbox = Mailbox()
        self._reader = StreamReader(options, rate, self._mailbox, self.counts, self._clock)
        self._thread = threading.Thread(target=self._reader.run, name="decode", daemon=True)
        self._begun: float | None = None
        self._maker: FrameMaker | None = None
        self._sequence = 0

    @property
    def info(self) -> StreamInfo | None:
        """Properties of the stream, once it is open; the size as it is sent, not rotated."""
        return self._reader.info

    @property
    def closed(self) -> bool:
        """Whether the native code has ended, so that a new connection may be made."""
        return not self._thread.is_alive()

    def read(self, timeout: float) -> Frame | None:
        """Return the newest frame, None if none came within `timeout` s. Raises SourceError."""
        now = self._clock.monotonic()
        if self._begun is None:
            self._begun = now
            self._thread.start()
        left = self._deadline(self._begun) - now
        sample = self._mailbox.take(min(timeout, max(0.0, left)))
        if sample is not None:
            return self._frame(sample)
        if self._clock.monotonic() >= self._deadline(self._begun):
            raise self._timeout_error()
        return None

    def _deadline(self, begun: float) -> float:
        """Return the moment by which a good picture must have been decoded."""
        last = self._reader.last_good
        if last is None:
            return begun + self._options.open_timeout
        return last + self._options.stall_timeout

    @property
    def clock_note(self) -> str:
        """What is odd about the camera's clock, in words; "" if nothing is."""
        return self._reader.clock_note

    def _timeout_error(self) -> SourceError:
        where = self._options.where
        opened = self._reader.last_good is not None
        limit = self._options.stall_timeout if opened else self._options.open_timeout
        interval = 1 / self.info.rate if self.info and self.info.rate else 0.0
        if 2 * interval > limit:
            return SourceSilentError(
                f"{where}: the camera sends a picture every {interval:.0f} s; set `open_timeout` and "
                f"`stall_timeout` to {_NEEDED_PICTURES * interval:.0f} or more"
            )
        last = self._reader.last_packet
        if last is not None and self._clock.monotonic() - last < limit / 2:
            kind, text = _OBSTACLES[self._reader.obstacle]
            return kind(f"{where}: {text.format(limit)}")
        what = "the stream stalled: no data" if opened else "no picture"
        return SourceSilentError(f"{where}: {what} arrived within {limit:g} s")

    def _frame(self, sample: Sample) -> Frame:
        if self._maker is None:
            # Imported with the first frame: a camera that is never reached needs no numpy.
            from maskwatch.capture.picture import FrameMaker  # noqa: PLC0415 - see above

            self._maker = FrameMaker(self._fit, self._rotation)
        frame = self._maker.make(
            sample.video, self._sequence, sample.captured_at, sample.moment, sample.pixel_aspect
        )
        self._sequence += 1
        return frame

    def __iter__(self) -> Iterator[Frame]:
        """Return frame after frame until the stream fails. Raises SourceError."""
        while True:
            frame = self.read(self._options.open_timeout)
            if frame is not None:
                yield frame

    def set_rate(self, rate: float) -> None:
        """Return `rate` frames a second from now on, and never more than asked."""
        self._reader.set_rate(rate)

    def stop(self) -> None:
        """Request the thread's end; `closed` is true once it has ended."""
        self._reader.stop()

    def close(self) -> None:
        """Close the connection, waiting for FFmpeg no longer than the stall time-out."""
        self.stop()
        if self._begun is not None:
            self._thread.join(self._options.stall_timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
