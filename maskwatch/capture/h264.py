"""Notice in an H.264 stream that a picture which others build on was left out.

A camera that is short of time or memory drops whole pictures before it numbers its packets: nothing is
missing in transit, and FFmpeg decodes what follows on the wrong picture without a word. But a reference
picture counts `frame_num` up by one (ISO/IEC 14496-10, 7.4.3), so a gap shows. (H.265 names the pictures
that it builds on; there FFmpeg itself complains.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import av

__all__ = ["FrameNumGaps", "SliceReassembler", "begins_picture", "nal_starts"]

_START_CODE = b"\x00\x00\x01"
_H264_SLICES = frozenset({1, 2, 5})
_H265_SLICES = range(32)


def nal_starts(data: bytes) -> Iterator[int]:
    """Offsets of the first byte of each NAL unit."""
    at = data.find(_START_CODE)
    while at >= 0:
        at += len(_START_CODE)
        yield at
        at = data.find(_START_CODE, at)


def begins_picture(codec: str, data: bytes) -> bool | None:
    """Whether the first slice in `data` is the first one of its picture; None if there is none.

    In H.264 first_mb_in_slice is 0 then, which is a single bit 1 (ISO/IEC 14496-10, 7.3.3); H.265 has
    a flag for it (ISO/IEC 23008-2, 7.3.6.1).
    """
    for at in nal_starts(data):
        header = data[at : at + 3]
        if codec == "h264" and len(header) > 1 and header[0] & 0x1F in _H264_SLICES:
            return bool(header[1] & 0x80)
        if codec == "hevc" and len(header) > 2 and header[0] >> 1 & 0x3F in _H265_SLICES:
            return bool(header[2] & 0x80)
    return None


_Packet: TypeAlias = "av.Packet[Any]"  # generic in the stubs only
_MOST_PIECES = 64
_MOST_BYTES = 16 << 20


class SliceReassembler:
    """Holds a key picture back until the next packet shows that it was whole.

    Only where that is needed: with the first key picture of a stream, and then with those of a
    camera whose last one came in pieces. Every other packet passes at once.

    Args:
        codec: FFmpeg's name of it.

    """

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._wary = True
        self._held: list[_Packet] = []

    def add(self, packet: _Packet) -> list[_Packet]:
        """Take the next packet; returns those that are whole now, in order."""
        begins = begins_picture(self._codec, bytes(packet)) if packet.is_keyframe else True
        if begins is False and self._held and self._room_for(packet):
            self._held.append(packet)
            return []
        released = self._release()
        if begins is False:
            self._wary = True  # its beginning has been given away: the next one will be held
        if not (self._wary and packet.is_keyframe):
            return [*released, packet]
        self._held = [packet]
        return released

    def _room_for(self, packet: _Packet) -> bool:
        held = sum(piece.size for piece in self._held)
        return len(self._held) < _MOST_PIECES and held + packet.size <= _MOST_BYTES

    def _release(self) -> list[_Packet]:
        held, self._held = self._held, []
        if not held:
            return []
        self._wary = len(held) > 1
        return [_joined(held)] if self._wary else held


def _joined(pieces: list[_Packet]) -> _Packet:
    """One packet of several, with the times of the first."""
    first = pieces[0]
    whole: _Packet = av.Packet(b"".join(map(bytes, pieces)))
    whole.stream = first.stream
    whole.time_base = first.time_base
    whole.pts, whole.dts = first.pts, first.dts
    whole.is_keyframe = True
    return whole


_KEY_SLICE = 5
_HEADER_BYTES = 64
_SET_BYTES = 1024
_MOST_SETS = 256
_LONGEST_CODE = 32
# Profiles whose sequence set says how colours are sampled (7.3.2.1.1).
_WITH_CHROMA = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_SEPARATE_PLANES = 3
_BROKEN_GROUPS = 10


@dataclass(frozen=True, slots=True)
class _Sequence:
    """What a sequence parameter set says of frame_num."""

    bits: int
    planes: bool
    fields: bool
    gaps_allowed: bool


class FrameNumGaps:
    """Follows frame_num from packet to packet.

    A camera is believed only after a whole group of pictures was counted without a gap, and no
    longer once ten groups in a row have one: some count in a way of their own.
    """

    def __init__(self) -> None:
        self._sequences: dict[int, _Sequence] = {}
        self._pictures: dict[int, int] = {}
        self._last: int | None = None
        self._gap_in_group = True
        self._broken = _BROKEN_GROUPS

    def forget(self) -> None:
        """Pictures were left out on purpose: the next one may have any number."""
        self._last = None

    def missed(self, packet: bytes) -> bool:
        """Whether a picture is missing before the one in `packet`; call it for every packet."""
        for at in nal_starts(packet):
            header = packet[at] if at < len(packet) else 0
            try:
                match header & 0x1F:
                    case 7:
                        self._sequence_set(packet[at : at + _SET_BYTES])
                    case 8:
                        self._picture_set(packet[at : at + _SET_BYTES])
                    case 1 | 5:
                        return self._slice(packet[at : at + _HEADER_BYTES])
            except EOFError:
                return False
        return False

    def _sequence_set(self, nal: bytes) -> None:
        bits = _Bits(nal[1:])
        profile = bits.take(8)
        bits.take(16)
        number = bits.code()
        planes = False
        if profile in _WITH_CHROMA:
            if bits.code() == _SEPARATE_PLANES:
                planes = bool(bits.take(1))
            bits.code()
            bits.code()
            bits.take(1)
            if bits.take(1):
                return  # scaling lists: rare in cameras, and not worth reading past
        length = bits.code() + 4
        order = bits.code()
        if order == 0:
            bits.code()
        elif order == 1:
            bits.take(1)
            for _ in range(2):
                bits.code()
            for _ in range(min(bits.code(), 255)):
                bits.code()
        bits.code()
        if length <= 16 and len(self._sequences) < _MOST_SETS:
            gaps_allowed = bool(bits.take(1))
            bits.code()
            bits.code()
            fields = not bits.take(1)
            self._sequences[number] = _Sequence(length, planes, fields, gaps_allowed)

    def _picture_set(self, nal: bytes) -> None:
        bits = _Bits(nal[1:])
        number, sequence = bits.code(), bits.code()
        if len(self._pictures) < _MOST_SETS:
            self._pictures[number] = sequence

    def _slice(self, nal: bytes) -> bool:
        bits = _Bits(nal[1:])
        bits.code()
        bits.code()
        sequence = self._sequences.get(self._pictures.get(bits.code(), -1))
        if sequence is None or sequence.gaps_allowed:
            return False
        if sequence.planes:
            bits.take(2)
        number = bits.take(sequence.bits)
        reference = bool(nal[0] & 0x60)
        if nal[0] & 0x1F == _KEY_SLICE:
            self._group_ends()
            self._last = number
            return False
        return self._follows(number, sequence, reference=reference)

    def _group_ends(self) -> None:
        self._broken = min(self._broken + 1, _BROKEN_GROUPS) if self._gap_in_group else 0
        self._gap_in_group = False

    def _follows(self, number: int, sequence: _Sequence, *, reference: bool) -> bool:
        """Whether a picture is missing between the last reference picture and this one."""
        last = self._last
        if reference:
            self._last = number
        if last is None:
            return False
        # The second field of a picture has the number of the first.
        if number == (last + 1) % (1 << sequence.bits) or (sequence.fields and number == last):
            return False
        self._gap_in_group = True
        return self._broken < _BROKEN_GROUPS


class _Bits:
    """Reads a unit bit by bit; raises EOFError past its end."""

    def __init__(self, escaped: bytes) -> None:
        data = escaped.replace(b"\x00\x00\x03", b"\x00\x00")
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        """The next `count` bits as a number."""
        if count > self._left:
            raise EOFError
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def code(self) -> int:
        """An Exp-Golomb code, unsigned (9.1)."""
        zeros = 0
        while not self.take(1):
            zeros += 1
            if zeros > _LONGEST_CODE:
                raise EOFError
        return (1 << zeros) - 1 + self.take(zeros)
