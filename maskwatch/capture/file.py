"""A recorded file, on its own clock: nothing is skipped, and every run gives the same frames."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeAlias

import av

from maskwatch.capture.container import open_file, stream_info
from maskwatch.capture.damage import DamageFilter, LogWatch
from maskwatch.capture.picture import FrameMaker
from maskwatch.capture.source import Fit, RateSampler, SourceCounts, native_size
from maskwatch.domain.frame import Frame
from maskwatch.errors import SourceEndedError, SourceGarbageError

__all__ = ["EPOCH", "FileSource"]

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""The wall time of a file's first frame, unless another is given."""

_ROUNDING_S = 0.001  # Matroska rounds times to milliseconds
_Packet: TypeAlias = "av.Packet[Any]"  # generic in the stubs only


class FileSource:
    """Gives the frames of a video file, decoded in the caller's thread.

    Args:
        path: a file that FFmpeg can read. A missing file, or one that is no video, raises
            SourceError here and now.
        rate: frames a second to analyse, of the file's own seconds.
        fit: from the picture's upright size to the analysis size.
        rotation: degrees clockwise to turn the picture, on top of what the file asks for.
        start: wall time of the file's first frame (aware).

    """

    def __init__(
        self,
        path: str | Path,
        *,
        rate: float = 5.0,
        fit: Fit = native_size,
        rotation: int = 0,
        start: datetime = EPOCH,
    ) -> None:
        self.counts = SourceCounts()
        self._path = str(path)
        self._start = start
        self._sampler = RateSampler(rate, early=_ROUNDING_S * rate)
        self._maker = FrameMaker(fit, rotation)
        self._container = open_file(self._path)
        self.info = stream_info(self._container, "file")
        self._frames = self._decode()

    @property
    def duration(self) -> float:
        """Seconds that the file says it lasts, 0 if it does not say."""
        return (self._container.duration or 0) / av.time_base

    def read(self, timeout: float = 0.0) -> Frame:  # noqa: ARG002 - a file is never waited for
        """Return the next sampled frame. Raises SourceEndedError after the last one."""
        frame = next(self._frames, None)
        if frame is None:
            raise SourceEndedError(f"{self._path}: the file ended")
        return frame

    def __iter__(self) -> Iterator[Frame]:
        """Give the frames that are left. Raises SourceGarbageError if there never was any."""
        return self._frames

    def _decode(self) -> Iterator[Frame]:
        stream = self._container.streams.video[0]
        log, damage = LogWatch(), DamageFilter()
        damage.start()
        first: float | None = None
        for packet in self._container.demux(stream):
            for video in self._pictures(packet, log, damage):
                moment = self._moment(video)
                first = moment if first is None else first
                if self._sampler.is_due(moment - first):
                    yield self._frame(video, moment - first)
        if first is None:
            raise SourceGarbageError(f"{self._path}: no picture of it can be decoded")

    def _pictures(self, packet: _Packet, log: LogWatch, damage: DamageFilter) -> Iterator[av.VideoFrame]:
        """The pictures of a packet that are sound."""
        try:
            videos = packet.decode()
        except (av.FFmpegError, ValueError):
            self.counts.damaged += 1
            videos = []
            sound = False
        else:
            sound = True
        damage.packet(sound=not log.damage_seen() and sound)
        for video in videos:
            self.counts.decoded += 1
            if damage.passes(video):
                yield video
            else:
                self.counts.damaged += 1

    def _moment(self, video: av.VideoFrame) -> float:
        """Seconds on the file's clock; by count where the file has no times."""
        if video.pts is not None and video.time_base is not None:
            return float(video.pts * video.time_base)
        return self.counts.decoded / (self.info.rate or 25.0)

    def _frame(self, video: av.VideoFrame, moment: float) -> Frame:
        sequence = self.counts.sampled
        self.counts.sampled += 1
        return self._maker.make(video, sequence, self._start + timedelta(seconds=moment), moment)

    def close(self) -> None:
        """Close the file."""
        self._frames = iter(())
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
