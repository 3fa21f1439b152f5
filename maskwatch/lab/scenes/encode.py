"""Writes a clip as an IP camera encodes it: H.264 or H.265, no B-frames, a key frame every 2 s."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import numpy as np

from maskwatch.files import ffmpeg_name
from maskwatch.lab.arrays import Image

_CODECS = {"h264": "libx264", "hevc": "libx265"}


class ClipWriter:
    """Writes planar YUV frames into an MP4 file; the same frames give the same bytes.

    `damage` is the share of packets, except the first, whose payload is corrupted, drawn from `rng`.
    """

    def __init__(
        self,
        path: Path,
        size: tuple[int, int],
        rate: float,
        *,
        rate_factor: float = 26.0,
        codec: str = "h264",
        damage: float = 0.0,
        rng: np.random.Generator | None = None,
    ) -> None:
        self._damage, self._rng = damage, rng or np.random.default_rng(0)
        self.damaged: list[int] = []
        self._written = 0
        self._container = av.open(ffmpeg_name(path), "w", format="mp4", options={"fflags": "+bitexact"})
        fraction = Fraction(rate).limit_denominator(1000)
        stream = self._container.add_stream(_CODECS[codec], rate=fraction)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.time_base = 1 / fraction
        stream.options = {**_options(codec, rate, rate_factor)}
        stream.thread_count = 1
        self._stream = stream
        self._base = 1 / fraction

    def write(self, planes: Image) -> None:
        """Encode one frame, uint8 (height * 3 / 2, width)."""
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = self._written, self._base
        self._written += 1
        for packet in self._stream.encode(frame):
            self._mux(packet)

    def _mux(self, packet: av.Packet[Any]) -> None:
        number = round(float((packet.pts or 0) * packet.time_base) / float(self._base))
        if number and self._damage and self._rng.random() < self._damage:
            packet = self._corrupted(packet)
            self.damaged.append(number)
        self._container.mux(packet)

    def _corrupted(self, packet: av.Packet[Any]) -> av.Packet[Any]:
        """Return the packet with a third of its payload overwritten, headers kept."""
        data = np.frombuffer(bytes(packet), np.uint8).copy()
        start = min(len(data) - 1, 12 + len(data) // 3)
        end = min(len(data), start + max(4, len(data) // 3))
        data[start:end] = self._rng.integers(0, 256, end - start, dtype=np.uint8)
        corrupted = av.Packet(data.tobytes())
        corrupted.stream, corrupted.time_base = packet.stream, packet.time_base
        corrupted.pts, corrupted.dts, corrupted.duration = packet.pts, packet.dts, packet.duration
        corrupted.is_keyframe = packet.is_keyframe
        return corrupted

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            for packet in self._stream.encode(None):
                self._mux(packet)
        self._container.close()


def _options(codec: str, rate: float, rate_factor: float) -> dict[str, str]:
    group = str(max(1, round(2 * rate)))
    options = {"crf": f"{rate_factor:g}", "preset": "superfast", "bf": "0", "g": group}
    if codec == "h264":
        options |= {"profile": "main", "sc_threshold": "0", "keyint_min": group}
    else:
        common = "bframes=0:scenecut=0:pools=none:frame-threads=1:log-level=error:info=0"
        options |= {"x265-params": f"{common}:keyint={group}:min-keyint={group}"}
    return options
