"""A recorded file, on its own clock: nothing is skipped, and every run has the same frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeAlias

import av

from maskwatch.capture.container import MAX_PIXELS, open_file, stream_info
from maskwatch.capture.damage import DamageFilter, LogWatch
from maskwatch.capture.picture import FrameMaker
from maskwatch.capture.source import Fit, RateSampler, SourceCounts, native_size
from maskwatch.capture.tracks import pixel_aspect
from maskwatch.domain.frame import Frame
from maskwatch.errors import SourceEndedError, SourceGarbageError

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""The wall time of a file's first frame, where neither the caller nor the file names one."""

# Recorders without a clock write 1904 or 1970.
_NEVER_SET_BEFORE = 1990
_ROUNDING_S = 0.001  # Matroska rounds times to milliseconds
_Packet: TypeAlias = "av.Packet[Any]"  # generic in the stubs only


class FileSource:
    """Returns the frames of a video file, decoded in the caller's thread.

    Args:
        rate: frames to analyse per second of the file.
        video_track: as that of `StreamOptions`.
        rotation: degrees clockwise, in addition to the rotation that the file declares.
        start: wall time of the file's first frame (aware); None: the file's own creation time,
            or `EPOCH` where it has none.

    Attributes:
        start: the wall time of the first frame.
        start_is_known: whether the caller or the file named it.

    Raises:
        SourceError: the file is missing, or not a video.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        rate: float = 5.0,
        fit: Fit = native_size,
        rotation: int = 0,
        start: datetime | None = None,
        max_pixels: int = MAX_PIXELS,
        video_track: int = -1,
    ) -> None:
        self.counts = SourceCounts()
        self._path = str(path)
        self._sampler = RateSampler(rate, early=_ROUNDING_S * rate)
        self._maker = FrameMaker(fit, rotation)
        opened = open_file(self._path, max_pixels, video_track)
        self._container, self._track = opened
        self.info = stream_info(opened, "file")
        known = start or _creation_time(self._container.metadata)
        self.start_is_known = known is not None
        self.start = known or EPOCH
        self._frames = self._decode()

    @property
    def duration(self) -> float:
        """The file's declared duration in seconds, 0 if it has none."""
        return (self._container.duration or 0) / av.time_base

    def read(self, timeout: float = 0.0) -> Frame:  # noqa: ARG002 - a file needs no wait
        """Return the next sampled frame. Raises SourceEndedError after the last one."""
        frame = next(self._frames, None)
        if frame is None:
            raise SourceEndedError(f"{self._path}: the file ended")
        return frame

    def __iter__(self) -> Iterator[Frame]:
        """Return the frames that are left. Raises SourceGarbageError if there is none at all."""
        return self._frames

    def _decode(self) -> Iterator[Frame]:
        stream = self._track
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
        """Return the undamaged pictures of a packet."""
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
        """Return the time on the file's clock in seconds; by count where the file has no times."""
        if video.pts is not None and video.time_base is not None:
            return float(video.pts * video.time_base)
        return self.counts.decoded / (self.info.rate or 25.0)

    def _frame(self, video: av.VideoFrame, moment: float) -> Frame:
        sequence = self.counts.sampled
        self.counts.sampled += 1
        at = self.start + timedelta(seconds=moment)
        return self._maker.make(video, sequence, at, moment, pixel_aspect(self._track))

    def close(self) -> None:
        self._frames = iter(())
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _creation_time(metadata: Mapping[str, str]) -> datetime | None:
    """Return the time in a container's tags (RFC 3339, UTC); None without a plausible one."""
    try:
        found = datetime.fromisoformat(metadata.get("creation_time", "")).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if found.year > _NEVER_SET_BEFORE else None
