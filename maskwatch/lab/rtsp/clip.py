"""Read a recorded video, or a still made from it, into access units that a camera can send.

The whole clip is kept in memory, compressed: about half a megabyte for a second of 1080p at
4 Mbit/s.
"""

from __future__ import annotations

import enum
import io
import re
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
from av.bitstream import BitStreamFilterContext
from av.video.frame import PictureType

from maskwatch.errors import SourceGarbageError, SourceNotFoundError, SourceNoVideoError
from maskwatch.files import ffmpeg_name, open_regular
from maskwatch.lab.rtsp.jpeg import JpegError, parse_jpeg

CLOCK_RATE = 90_000
"""Ticks a second of every RTP video clock (RFC 6184, RFC 7798)."""

_Packet: TypeAlias = "av.Packet[Any]"  # generic in the stubs only
_START_CODE = re.compile(rb"\x00\x00\x00\x01|\x00\x00\x01")


class Codec(enum.Enum):
    """A codec the server can send; the value is its name in SDP."""

    H264 = "H264"
    H265 = "H265"
    JPEG = "JPEG"

    def nal_type(self, nal: bytes) -> int:
        """Return the type of a NAL unit, from its header."""
        return nal[0] & 0x1F if self is Codec.H264 else nal[0] >> 1 & 0x3F

    @property
    def parameter_set_types(self) -> tuple[int, ...]:
        """NAL types that a decoder requires, in sending order."""
        return _PARAMETER_SETS[self]

    @property
    def to_annex_b(self) -> str:
        """FFmpeg's bitstream filter that replaces MP4's lengths with start codes."""
        return _TO_ANNEX_B[self]


_PARAMETER_SETS: dict[Codec, tuple[int, ...]] = {
    Codec.H264: (7, 8),
    Codec.H265: (32, 33, 34),
    Codec.JPEG: (),
}
_TO_ANNEX_B = {
    Codec.H264: "h264_mp4toannexb",
    Codec.H265: "hevc_mp4toannexb",
    Codec.JPEG: "null",
}
_CODECS = {"h264": Codec.H264, "hevc": Codec.H265, "mjpeg": Codec.JPEG}
_ENCODERS = {Codec.H264: "libx264", Codec.H265: "libx265", Codec.JPEG: "mjpeg"}


@dataclass(frozen=True, slots=True)
class AccessUnit:
    """One coded frame; times are ticks of CLOCK_RATE from the clip's start."""

    decode: int
    present: int
    nals: tuple[bytes, ...]
    key: bool


@dataclass(frozen=True, slots=True)
class Clip:
    """A recorded video, ready to be sent; starts with a key frame."""

    codec: Codec
    width: int
    height: int
    units: tuple[AccessUnit, ...]
    length: int
    parameter_sets: tuple[bytes, ...]
    keys: tuple[int, ...]

    @classmethod
    def load(cls, path: str | Path) -> Clip:
        """Read a file that FFmpeg can demux; raise SourceError if it cannot be served."""
        try:
            open_regular(Path(path)).close()  # FFmpeg would wait for the writer of a named pipe
            with av.open(ffmpeg_name(path)) as container:
                return cls.read(container, str(path))
        except FileNotFoundError as error:
            raise SourceNotFoundError(f"{path}: no such file") from error
        except (av.FFmpegError, OSError) as error:
            reason = error.strerror or type(error).__name__
            raise SourceGarbageError(f"{path}: cannot be read as a video: {reason}") from error

    @classmethod
    def read(cls, container: av.container.InputContainer, name: str) -> Clip:
        """Read an opened container; `name` is for messages. Raises SourceError."""
        if not container.streams.video:
            raise SourceNoVideoError(f"{name}: no video track")
        stream = container.streams.video[0]
        codec = _CODECS.get(stream.codec_context.name)
        if codec is None:
            found = stream.codec_context.name
            raise SourceGarbageError(f"{name}: expected h264, hevc or mjpeg, found {found}")
        units = _units(_annex_b_packets(container, stream, codec), codec)
        if not units:
            raise SourceGarbageError(f"{name}: no key frame, nothing to play")
        _check_jpeg(codec, units[0], name)
        sets = _parameter_sets(codec, units, name)
        units = tuple(_self_contained(unit, codec, sets) for unit in units)
        size = stream.codec_context.width, stream.codec_context.height
        keys = tuple(index for index, unit in enumerate(units) if unit.key)
        return cls(codec, *size, units, _length(units, stream), sets, keys)

    @property
    def seconds(self) -> float:
        """Duration of one pass in seconds."""
        return self.length / CLOCK_RATE

    @property
    def rate(self) -> float:
        """Mean frame rate in frames a second."""
        return len(self.units) / self.seconds

    def stretched(self, factor: float) -> Clip:
        """Return the clip with all times multiplied by `factor`."""
        units = tuple(
            replace(unit, decode=round(unit.decode * factor), present=round(unit.present * factor))
            for unit in self.units
        )
        return replace(self, units=units, length=round(self.length * factor))

    def index_at(self, ticks: int) -> int:
        """Return the index of the last frame that is due at or before `ticks`."""
        return max(0, bisect_right(self.units, ticks, key=lambda unit: unit.decode) - 1)

    def key_before(self, ticks: int) -> int:
        """Return the index of the last key frame that is due at or before `ticks`."""
        return self.keys[max(0, bisect_right(self.keys, self.index_at(ticks)) - 1)]


def split_nals(annex_b: bytes) -> tuple[bytes, ...]:
    """Return the NAL units of an Annex B byte stream, without start codes or padding."""
    parts = (part.rstrip(b"\x00") for part in _START_CODE.split(annex_b))
    return tuple(part for part in parts if len(part) > 1)


def _annex_b_packets(
    container: av.container.InputContainer, stream: av.VideoStream, codec: Codec
) -> Iterator[_Packet]:
    """Yield packets with start codes, from the first key frame on."""
    to_annex_b = BitStreamFilterContext(codec.to_annex_b, stream)
    started = False
    for packet in container.demux(stream):
        if packet.dts is None:
            continue
        for filtered in to_annex_b.filter(packet):
            started = started or filtered.is_keyframe
            if started:
                yield filtered


def _units(packets: Iterator[_Packet], codec: Codec) -> tuple[AccessUnit, ...]:
    """Return access units whose times count from the first one's decoding time."""
    units: list[AccessUnit] = []
    first = 0
    for packet in packets:
        decode = _ticks(packet, packet.dts)
        first = first if units else decode
        present = decode if packet.pts is None else _ticks(packet, packet.pts)
        nals = (bytes(packet),) if codec is Codec.JPEG else split_nals(bytes(packet))
        units.append(AccessUnit(decode - first, present - first, nals, packet.is_keyframe))
    return tuple(units)


def _ticks(packet: _Packet, stamp: int | None) -> int:
    assert stamp is not None  # _annex_b_packets skips packets without a time
    assert packet.time_base is not None  # a demuxed packet has one
    return round(stamp * packet.time_base * CLOCK_RATE)


def _length(units: tuple[AccessUnit, ...], stream: av.VideoStream) -> int:
    """Return the ticks of one pass: the last frame lasts as long as the mean of the others."""
    if len(units) > 1:
        return units[-1].decode + round(units[-1].decode / (len(units) - 1))
    rate = stream.average_rate or 25
    return round(CLOCK_RATE / rate)


def _parameter_sets(codec: Codec, units: tuple[AccessUnit, ...], path: str) -> tuple[bytes, ...]:
    found: dict[int, bytes] = {}
    for nal in (nal for unit in units for nal in unit.nals):
        found.setdefault(codec.nal_type(nal), nal)
        if all(kind in found for kind in codec.parameter_set_types):
            return tuple(found[kind] for kind in codec.parameter_set_types)
    raise SourceGarbageError(f"{path}: no parameter sets, so that no decoder can play it")


def _check_jpeg(codec: Codec, unit: AccessUnit, name: str) -> None:
    """Raise SourceGarbageError for a picture of a form that RTP has none for."""
    if codec is Codec.JPEG:
        try:
            parse_jpeg(unit.nals[0])
        except JpegError as error:
            raise SourceGarbageError(f"{name}: {error}") from None


def _self_contained(unit: AccessUnit, codec: Codec, sets: tuple[bytes, ...]) -> AccessUnit:
    """Return a key frame with its parameter sets, so that a client may join at it."""
    present = {codec.nal_type(nal) for nal in unit.nals}
    if not unit.key or present.issuperset(codec.parameter_set_types):
        return unit
    return AccessUnit(unit.decode, unit.present, sets + unit.nals, unit.key)


def first_still(path: str | Path, like: Clip) -> Clip:
    """Return one second of the first frame of `path`, coded like the clip `like`."""
    with av.open(ffmpeg_name(path)) as container:
        frame = next(container.decode(video=0), None)
    return _still(frame, path, like)


def last_still(path: str | Path, like: Clip) -> Clip:
    """Return one second of the last frame of `path`, coded like the clip `like`."""
    last: deque[av.VideoFrame] = deque(maxlen=1)
    with av.open(ffmpeg_name(path)) as container:
        last.extend(container.decode(video=0))
    return _still(next(iter(last), None), path, like)


def _still(frame: av.VideoFrame | None, path: str | Path, like: Clip) -> Clip:
    if frame is None:
        raise SourceGarbageError(f"{path}: no frame can be decoded")
    with av.open(_encode(frame, like), "r") as container:
        return Clip.read(container, str(path))


def _pixels(like: Clip) -> str:
    return "yuvj420p" if like.codec is Codec.JPEG else "yuv420p"


def _encode(frame: av.VideoFrame, like: Clip) -> io.BytesIO:
    """Return a second of MP4: one key frame, then repetitions at the rate of `like`."""
    rate = Fraction(like.rate).limit_denominator(1001)
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as container:
        options = {"preset": "ultrafast", "tune": "zerolatency", "g": "1000", "bf": "0"}
        if like.codec is Codec.H265:
            options |= {"x265-params": "log-level=none"}
        if like.codec is Codec.JPEG:
            options = {"huffman": "default"}
        stream = container.add_stream(_ENCODERS[like.codec], rate=rate, options=options)
        assert isinstance(stream, av.VideoStream)  # both encoders make video
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, _pixels(like)
        picture = frame.reformat(format=_pixels(like))
        picture.pict_type = PictureType.NONE  # otherwise each repetition becomes a key frame
        for index in range(max(1, round(rate))):
            picture.pts, picture.time_base = index, 1 / rate
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    target.seek(0)
    return target
