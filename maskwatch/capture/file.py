"""A recorded file, on its own clock: nothing is skipped, and every run has the same frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self, TypeAlias

import av

from maskwatch.capture.container import MAX_PIXELS, open_file, stream_info
from maskwatch.capture.damage import Damage, DamageFilter, LogWatch
from maskwatch.capture.h264 import refresh_length
from maskwatch.capture.picture import FrameMaker
from maskwatch.capture.source import Fit, RateSampler, SourceCounts, native_size
from maskwatch.capture.tracks import PixelShape
from maskwatch.domain.frame import Frame
from maskwatch.errors import SourceEndedError, SourceGarbageError

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
"""The wall time of a file's first frame, where neither the caller nor the file names one."""

# Recorders without a clock write 1904 or 1970.
_NEVER_SET_BEFORE = 1990
_RATE = 25.0  # pictures a second where a file declares none
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
        self._shape = PixelShape(self._track)
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
        times = PictureTimes(1 / (self.info.rate or _RATE))
        for packet in self._container.demux(stream):
            for video in self._pictures(packet, log, damage):
                moment = times.next(video)
                if self._sampler.is_due(moment):
                    yield self._frame(video, moment)
        if not times.begun:
            raise SourceGarbageError(f"{self._path}: no picture of it can be decoded")

    def _pictures(self, packet: _Packet, log: LogWatch, damage: DamageFilter) -> Iterator[av.VideoFrame]:
        """Return the undamaged pictures of a packet."""
        decoder = self._track.codec_context
        refresh = refresh_length(decoder.name, bytes(packet))
        damage.resume(decoder, key=packet.is_keyframe, refresh=refresh)
        try:
            videos = packet.decode()
        except (av.FFmpegError, ValueError):
            self.counts.damaged += 1
            log.damage()
            damage.packet(Damage.LOSS)
            return
        damage.packet(log.damage(), refresh=refresh)
        for video in videos:
            self.counts.decoded += 1
            if damage.passes(video):
                yield video
            else:
                self.counts.damaged += 1

    def _frame(self, video: av.VideoFrame, moment: float) -> Frame:
        sequence = self.counts.sampled
        self.counts.sampled += 1
        at = self.start + timedelta(seconds=moment)
        return self._maker.make(video, sequence, at, moment, self._shape.aspect)

    def close(self) -> None:
        self._frames = iter(())
        self._container.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class PictureTimes:
    """The times of a file's pictures in seconds since the first one; they never stand or go back.

    Recordings that were joined begin again at 0, and some writers leave stamps out or write all alike.
    `interval`: seconds from a picture to the next whose stamp does not tell.
    """

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._origin = self._last = 0.0
        self._stamp: float | None = None
        self.begun = False

    def next(self, video: av.VideoFrame) -> float:
        """Return the time of the next picture."""
        stamp = None
        if video.pts is not None and video.time_base is not None:
            stamp = float(video.pts * video.time_base)
        before, self._stamp = self._stamp, stamp
        due = self._last + self._interval if self.begun else 0.0
        if stamp is not None and (before is None or stamp <= before):
            self._origin = stamp - due
        self._last = due if stamp is None else stamp - self._origin
        self.begun = True
        return self._last


def _creation_time(metadata: Mapping[str, str]) -> datetime | None:
    """Return the time in a container's tags (RFC 3339, UTC); None without a plausible one."""
    try:
        found = datetime.fromisoformat(metadata.get("creation_time", "")).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return found if found.year > _NEVER_SET_BEFORE else None
