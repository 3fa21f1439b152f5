"""RTP payloads of JPEG pictures (RFC 2435), which leave out every header that both sides can derive."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass

_QUANTIZATION, _HUFFMAN, _BASELINE, _RESTARTS, _SCAN = 0xDB, 0xC4, 0xC0, 0xDD, 0xDA
_SAMPLINGS = {0x21: 0, 0x22: 1}  # 4:2:2 and 4:2:0, as RFC 2435 numbers them
_STANDARD_TABLES = "532fd667aa5541439e4fc89f189259b1b137993ca5dfcbb6970ab411aee79cdf"
_MAX_SIDE = 255 * 8
_Q_IN_BAND = 255
_WITH_RESTARTS = 64
_WHOLE = 0xFFFF  # the packets are not cut at restart markers


class JpegError(ValueError):
    """RFC 2435 has no form for this picture; the text says why."""


@dataclass(slots=True)
class JpegParts:
    """What of a picture is sent; sides are in units of eight pixels."""

    width: int = 0
    height: int = 0
    sampling: int = 0
    tables: bytes = b""
    restarts: bytes = b""
    scan: bytes = b""


def jpeg_payloads(picture: bytes, limit: int) -> Iterator[bytes]:
    """Yield the payloads, of at most `limit` bytes each, of one picture. Raises JpegError."""
    parts = parse_jpeg(picture)
    at = 0
    while at < len(parts.scan):
        quantization = b"" if at else struct.pack(">BBH", 0, 0, len(parts.tables)) + parts.tables
        kind = parts.sampling + (_WITH_RESTARTS if parts.restarts else 0)
        head = struct.pack(">I", at) + bytes((kind, _Q_IN_BAND, parts.width, parts.height))
        head += parts.restarts
        piece = parts.scan[at : at + limit - len(head) - len(quantization)]
        yield head + quantization + piece
        at += len(piece)


def parse_jpeg(picture: bytes) -> JpegParts:
    """Return what of a picture is sent. Raises JpegError."""
    parts, huffman = JpegParts(), set[bytes]()
    try:
        for marker, segment, end in _segments(picture):
            _read_segment(parts, marker, segment)
            huffman |= set(_huffman_tables(segment)) if marker == _HUFFMAN else set()
            parts.scan = picture[end:].removesuffix(b"\xff\xd9")
    except (IndexError, struct.error):
        raise JpegError("the picture is truncated") from None
    if not parts.width or not parts.scan:
        raise JpegError("expected baseline JPEG")
    if huffman and hashlib.sha256(b"".join(sorted(huffman))).hexdigest() != _STANDARD_TABLES:
        raise JpegError("expected the standard Huffman tables (FFmpeg: -huffman default)")
    if len(parts.tables) == 64:
        parts.tables *= 2  # the same one for brightness and colour
    return parts


def _read_segment(parts: JpegParts, marker: int, segment: bytes) -> None:
    if marker == _QUANTIZATION:
        parts.tables += b"".join(segment[at + 1 : at + 65] for at in range(0, len(segment), 65))
    elif marker == _BASELINE:
        _read_frame(parts, segment)
    elif marker == _RESTARTS and any(segment):
        parts.restarts = segment + struct.pack(">H", _WHOLE)


def _segments(picture: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Yield each marker up to the scan with its segment, and where that ends."""
    at, marker = 2, 0
    while marker != _SCAN:
        marker = picture[at + 1]
        [length] = struct.unpack_from(">H", picture, at + 2)
        end = at + 2 + length
        yield marker, picture[at + 4 : end], end
        at = end


def _huffman_tables(segment: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(segment):
        end = at + 17 + sum(segment[at + 1 : at + 17])
        yield segment[at:end]
        at = end


def _read_frame(parts: JpegParts, segment: bytes) -> None:
    height, width = struct.unpack_from(">HH", segment, 1)
    sampling = _SAMPLINGS.get(segment[7])
    if sampling is None or max(width, height) > _MAX_SIDE:
        raise JpegError(f"expected 4:2:0 or 4:2:2, and at most {_MAX_SIDE} pixels a side")
    parts.sampling = sampling
    parts.width, parts.height = -(-width // 8), -(-height // 8)
