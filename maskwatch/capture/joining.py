"""Join key pictures that FFmpeg's parser has cut into slices.

Some cameras repeat the parameter sets before every slice of a key picture (GStreamer's rtph264pay does
with config-interval=-1). FFmpeg takes a parameter set for the beginning of a picture, and so hands over
each slice as a picture of its own, most of which is missing.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import av

from maskwatch.capture.nal import begins_picture

__all__ = ["PictureJoiner"]

_Packet: TypeAlias = "av.Packet[Any]"  # generic in the stubs only
_MOST_PIECES = 64
_MOST_BYTES = 16 << 20


class PictureJoiner:
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
