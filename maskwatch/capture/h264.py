"""What can be read off an encoded H.264 (or H.265) packet without decoding it.

`SliceReassembler` puts pictures together that FFmpeg's parser has cut. `FrameNumGaps` notices pictures
that the camera left out.

Numbers of sections are those of ISO/IEC 14496-10 (H.264), unless another standard is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import av

_Packet: TypeAlias = "av.Packet[Any]"  # generic in the stubs only

_START_CODE = b"\x00\x00\x01"
_KEY_SLICE = 5  # nal_unit_type (table 7-1)
_H264_FIRST_SLICES = frozenset({1, 2, _KEY_SLICE})
_H265_SLICES = range(32)


def nal_starts(data: bytes) -> Iterator[int]:
    """Return the offsets of the first byte of each NAL unit."""
    at = data.find(_START_CODE)
    while at >= 0:
        at += len(_START_CODE)
        yield at
        at = data.find(_START_CODE, at)


def begins_picture(codec: str, data: bytes) -> bool | None:
    """Return whether the first slice in `data` is the first of its picture; None without a slice.

    In H.264 first_mb_in_slice is 0 then, which is a single bit 1 (7.3.3); H.265 has a flag for it
    (ISO/IEC 23008-2, 7.3.6.1).
    """
    for at in nal_starts(data):
        header = data[at : at + 3]
        if codec == "h264" and len(header) > 1 and header[0] & 0x1F in _H264_FIRST_SLICES:
            return bool(header[1] & 0x80)
        if codec == "hevc" and len(header) > 2 and header[0] >> 1 & 0x3F in _H265_SLICES:
            return bool(header[2] & 0x80)
    return None


# -- refreshes ---------------------------------------------------------------------------------

_SEI = {"h264": 6, "hevc": 39}
_RECOVERY_POINT = 6  # payloadType (D.1)
_CRA = 21  # a key picture of H.265 that is no IDR picture
_MAX_REFRESH = 1024
_SEI_BYTES = 256


def refresh_length(codec: str, packet: bytes) -> int | None:
    """Return after how many further pictures all of the picture is refreshed; None without a refresh.

    A camera with periodic intra refresh sends no IDR pictures, but a recovery point (D.2.8) where
    each refresh begins.
    """
    for at in nal_starts(packet):
        nal = packet[at : at + _SEI_BYTES]
        if not nal:
            continue
        kind = nal[0] & 0x1F if codec == "h264" else nal[0] >> 1 & 0x3F
        if codec == "hevc" and kind == _CRA:
            return 0
        if kind == _SEI.get(codec):
            count = _recovery_count(nal[1:] if codec == "h264" else nal[2:])
            if count is not None:
                # H.265 counts with a sign (ISO/IEC 23008-2, D.2.8): 1, -1, 2 ... are coded 1, 2, 3 ...
                return count if codec == "h264" else (count + 1) // 2 * (count % 2)
    return None


def _recovery_count(sei: bytes) -> int | None:
    """Return the coded count of a recovery point in SEI messages (7.3.2.3), None without one."""
    data, at = sei.replace(b"\x00\x00\x03", b"\x00\x00"), 0
    while at + 2 < len(data):
        fields = []
        for _ in range(2):
            value = 0
            while at < len(data) and data[at] == 0xFF:
                value, at = value + 255, at + 1
            if at >= len(data):
                return None
            fields.append(value + data[at])
            at += 1
        kind, size = fields
        if kind == _RECOVERY_POINT:
            try:
                return min(_BitReader(data[at : at + size]).read_exp_golomb(), _MAX_REFRESH)
            except EOFError:
                return None
        at += size
    return None


# -- pictures that were cut --------------------------------------------------------------------

_MAX_PIECES = 64
_MAX_BYTES = 16 << 20


class SliceReassembler:
    """Joins the pieces of a key picture that FFmpeg's parser cuts at repeated parameter sets.

    A key picture must be held back until the next packet shows that it was whole. That is done with
    the first one of a stream, and then only while the last one came in pieces. Every other packet
    passes immediately.
    """

    def __init__(self, codec: str) -> None:
        self._codec = codec
        self._holds_key_pictures = True
        self._held: list[_Packet] = []

    def add(self, packet: _Packet) -> list[_Packet]:
        """Take the next packet; return those that are whole now, in order."""
        begins = begins_picture(self._codec, bytes(packet)) if packet.is_keyframe else True
        if begins is False and self._held and self._has_room(packet):
            self._held.append(packet)
            return []
        released = self._release()
        if begins is False:
            self._holds_key_pictures = True  # the beginning of this one was released already
        if not (self._holds_key_pictures and packet.is_keyframe):
            return [*released, packet]
        self._held = [packet]
        return released

    def _has_room(self, packet: _Packet) -> bool:
        held = sum(piece.size for piece in self._held)
        return len(self._held) < _MAX_PIECES and held + packet.size <= _MAX_BYTES

    def _release(self) -> list[_Packet]:
        held, self._held = self._held, []
        if not held:
            return []
        self._holds_key_pictures = len(held) > 1
        return [_join(held)] if len(held) > 1 else held


def _join(pieces: list[_Packet]) -> _Packet:
    """Return one packet with the data of all and the times of the first."""
    first = pieces[0]
    whole: _Packet = av.Packet(b"".join(map(bytes, pieces)))
    whole.stream = first.stream
    whole.time_base = first.time_base
    whole.pts, whole.dts = first.pts, first.dts
    whole.is_keyframe = True
    return whole


# -- pictures that were left out ---------------------------------------------------------------

_SLICE_HEADER_BYTES = 64
_SET_BYTES = 1024
_MAX_SETS = 256
_MAX_FRAME_NUM_BITS = 16
# Profiles whose sequence parameter set describes the chroma sampling (7.3.2.1.1).
_PROFILES_WITH_CHROMA = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_CHROMA_444 = 3
_MAX_GROUPS_WITH_GAPS = 10


@dataclass(frozen=True, slots=True)
class _SequenceSet:
    """The fields of a sequence parameter set that concern frame_num."""

    frame_num_bits: int
    separate_planes: bool
    interlaced: bool
    gaps_allowed: bool


class FrameNumGaps:
    """Notices that a picture which others build on was left out, by a gap in frame_num.

    A camera that is short of time or memory drops whole pictures before it numbers its packets: none
    is missing in transit, and FFmpeg decodes what follows on the wrong picture without logging it.
    But a reference picture counts frame_num up by one (7.4.3). (H.265 names the pictures that it
    builds on; there FFmpeg itself logs the damage.)

    Some cameras count in a way of their own. So gaps are reported only after a whole group of pictures
    without one, and no longer once ten groups in a row had one.
    """

    def __init__(self) -> None:
        self._sequence_sets: dict[int, _SequenceSet] = {}
        self._picture_sets: dict[int, int] = {}
        self._last: int | None = None
        self._gap_in_group = True
        self._groups_with_gaps = _MAX_GROUPS_WITH_GAPS

    def skip(self) -> None:
        """Accept any number of the next picture: some were skipped on purpose."""
        self._last = None

    def missed(self, packet: bytes) -> bool:
        """Return whether a picture is missing before the one in `packet`; call it for every packet."""
        for at in nal_starts(packet):
            header = packet[at] if at < len(packet) else 0
            try:
                match header & 0x1F:
                    case 7:  # sequence parameter set
                        self._read_sequence_set(packet[at : at + _SET_BYTES])
                    case 8:  # picture parameter set
                        self._read_picture_set(packet[at : at + _SET_BYTES])
                    case 1 | 5:  # slice
                        return self._read_slice(packet[at : at + _SLICE_HEADER_BYTES])
            except EOFError:
                return False
        return False

    def _read_sequence_set(self, nal: bytes) -> None:
        bits = _BitReader(nal[1:])
        profile = bits.read(8)
        bits.read(16)  # constraint flags, level_idc
        number = bits.read_exp_golomb()
        separate_planes = False
        if profile in _PROFILES_WITH_CHROMA:
            if bits.read_exp_golomb() == _CHROMA_444:
                separate_planes = bool(bits.read(1))
            bits.read_exp_golomb()  # bit depths of luma and chroma
            bits.read_exp_golomb()
            bits.read(1)  # qpprime_y_zero_transform_bypass_flag
            if bits.read(1):
                return  # scaling lists: rare in cameras, and not worth parsing
        frame_num_bits = bits.read_exp_golomb() + 4
        _skip_picture_order(bits)
        bits.read_exp_golomb()  # max_num_ref_frames
        if frame_num_bits <= _MAX_FRAME_NUM_BITS and len(self._sequence_sets) < _MAX_SETS:
            gaps_allowed = bool(bits.read(1))
            bits.read_exp_golomb()  # width and height
            bits.read_exp_golomb()
            interlaced = not bits.read(1)
            self._sequence_sets[number] = _SequenceSet(
                frame_num_bits, separate_planes, interlaced, gaps_allowed
            )

    def _read_picture_set(self, nal: bytes) -> None:
        bits = _BitReader(nal[1:])
        number, sequence_set = bits.read_exp_golomb(), bits.read_exp_golomb()
        if len(self._picture_sets) < _MAX_SETS:
            self._picture_sets[number] = sequence_set

    def _read_slice(self, nal: bytes) -> bool:
        bits = _BitReader(nal[1:])
        bits.read_exp_golomb()  # first_mb_in_slice, slice_type
        bits.read_exp_golomb()
        sequence_set = self._sequence_sets.get(self._picture_sets.get(bits.read_exp_golomb(), -1))
        if sequence_set is None or sequence_set.gaps_allowed:
            return False
        if sequence_set.separate_planes:
            bits.read(2)  # colour_plane_id
        number = bits.read(sequence_set.frame_num_bits)
        if nal[0] & 0x1F == _KEY_SLICE:
            self._end_group()
            self._last = number
            return False
        return self._gap_before(number, sequence_set, is_reference=bool(nal[0] & 0x60))

    def _end_group(self) -> None:
        with_gaps = min(self._groups_with_gaps + 1, _MAX_GROUPS_WITH_GAPS)
        self._groups_with_gaps = with_gaps if self._gap_in_group else 0
        self._gap_in_group = False

    def _gap_before(self, number: int, sequence_set: _SequenceSet, *, is_reference: bool) -> bool:
        """Return whether a picture is missing between the last reference picture and this one."""
        last = self._last
        if is_reference:
            self._last = number
        if last is None or number == (last + 1) % (1 << sequence_set.frame_num_bits):
            return False
        if sequence_set.interlaced and number == last:
            return False  # the second field of a picture has the number of the first
        self._gap_in_group = True
        return self._groups_with_gaps < _MAX_GROUPS_WITH_GAPS


def _skip_picture_order(bits: _BitReader) -> None:
    """Read past the fields of a sequence parameter set that concern the picture order count."""
    kind = bits.read_exp_golomb()
    if kind == 0:
        bits.read_exp_golomb()
    elif kind == 1:
        bits.read(1)
        bits.read_exp_golomb()
        bits.read_exp_golomb()
        for _ in range(min(bits.read_exp_golomb(), 255)):
            bits.read_exp_golomb()


_MAX_EXP_GOLOMB_ZEROS = 32


class _BitReader:
    """Reads a NAL unit bit by bit; raises EOFError past its end."""

    def __init__(self, escaped: bytes) -> None:
        data = escaped.replace(b"\x00\x00\x03", b"\x00\x00")
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def read(self, count: int) -> int:
        """Return the next `count` bits as a number."""
        if count > self._left:
            raise EOFError
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def read_exp_golomb(self) -> int:
        """Return the next unsigned Exp-Golomb code (9.1)."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros > _MAX_EXP_GOLOMB_ZEROS:
                raise EOFError
        return (1 << zeros) - 1 + self.read(zeros)
