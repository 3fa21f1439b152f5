"""The little that is read of H.264 and H.265 before the decoder is: where a picture begins.

Works on Annex B byte streams, as they come from a camera. The bytes are hostile: nothing here raises
for what they hold, and nothing takes longer than the bytes are many.
"""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["begins_picture", "nal_starts"]

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
