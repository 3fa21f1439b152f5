"""RTP packets of H.264 (RFC 6184), H.265 (RFC 7798) and JPEG, and RTCP's BYE."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator

from maskwatch.lab.rtsp.clip import Codec
from maskwatch.lab.rtsp.jpeg import jpeg_payloads

PAYLOAD_TYPE = 96
_MTU = 1400
_PIECE = _MTU - 3  # a fragmented unit has two fragments or more, as RFC 6184 and RFC 7798 demand
_FIRST, _LAST = 0x80, 0x40
_FU_A, _FU_H265 = 28, 49


def payloads(codec: Codec, nals: tuple[bytes, ...]) -> Iterator[tuple[bytes, bool]]:
    """Yield the payloads of one access unit, each with whether it is the last one."""
    for number, nal in enumerate(nals, start=1):
        pieces = list(_pieces(codec, nal))
        for piece_number, piece in enumerate(pieces, start=1):
            yield piece, number == len(nals) and piece_number == len(pieces)


def _pieces(codec: Codec, nal: bytes) -> Iterator[bytes]:
    """Yield the NAL unit whole if it fits a packet, otherwise as fragmentation units."""
    if codec is Codec.JPEG:
        yield from jpeg_payloads(nal, _MTU)
        return
    if len(nal) <= _MTU:
        yield nal
        return
    if codec is Codec.H264:
        prefix, kind, body = bytes([nal[0] & 0xE0 | _FU_A]), nal[0] & 0x1F, nal[1:]
    else:
        prefix, kind = bytes([nal[0] & 0x81 | _FU_H265 << 1, nal[1]]), codec.nal_type(nal)
        body = nal[2:]
    for at in range(0, len(body), _PIECE):
        edge = (_FIRST if at == 0 else 0) | (_LAST if at + _PIECE >= len(body) else 0)
        yield prefix + bytes([kind | edge]) + body[at : at + _PIECE]


class RtpStream:
    """Numbers the packets of one stream to one client."""

    def __init__(self, rng: random.Random) -> None:
        self.ssrc = rng.getrandbits(32)
        self.sequence = rng.getrandbits(16)
        self._base = (1 << 32) - 1 - rng.getrandbits(18)  # it wraps around within three seconds

    def timestamp(self, ticks: int) -> int:
        """Return the 32-bit RTP time of a moment in the stream, in ticks of its clock."""
        return (self._base + ticks) & 0xFFFFFFFF

    def packet(self, payload: bytes, ticks: int, *, last: bool) -> bytes:
        """Return the next packet; `last` marks the end of an access unit."""
        kind = PAYLOAD_TYPE | (0x80 if last else 0)
        fields = 0x80, kind, self.sequence, self.timestamp(ticks), self.ssrc
        self.skip()
        return struct.pack(">BBHII", *fields) + payload

    def skip(self) -> None:
        """Skip a sequence number, so that the client detects a missing packet."""
        self.sequence = (self.sequence + 1) & 0xFFFF

    def bye(self) -> bytes:
        """Return RTCP: an empty receiver report, then BYE (RFC 3550, 6.6)."""
        return struct.pack(">BBHI BBHI", 0x80, 201, 1, self.ssrc, 0x81, 203, 1, self.ssrc)


def interleave(channel: int, packet: bytes) -> bytes:
    """Return a packet framed for the RTSP connection (RFC 2326, 10.12)."""
    return b"$" + struct.pack(">BH", channel, len(packet)) + packet
