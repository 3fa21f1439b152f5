"""Which video track of a stream is analysed, and the shape of its pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TypeAlias

import av
from av.container import InputContainer
from av.stream import Disposition

from maskwatch.errors import SourceNoVideoError

Track: TypeAlias = "av.VideoStream"

_SCANNED_PACKETS = 500
# Beyond these a declared shape of the pixels is taken for a mistake of the device. The widest in use
# is 2 (half a field's lines), the narrowest 5:11.
_NARROWEST, _WIDEST = 0.4, 2.5


def choose_track(
    container: InputContainer, where: str, wanted: int, moving: Iterable[int] = ()
) -> Track:
    """Return the video track `wanted` (from 0; -1: the largest one that moves).

    Cover pictures and thumbnails do not move. `moving` are the indices of the streams known to move.

    Raises:
        SourceNoVideoError: there is none, or none of that number.
    """
    tracks = container.streams.video
    if not tracks:
        raise SourceNoVideoError(f"{where}: the stream has no video track")
    if wanted >= 0:
        if wanted >= len(tracks):
            raise SourceNoVideoError(
                f"{where}: there is no video track {wanted}; found {len(tracks)}, counted from 0"
            )
        return tracks[wanted]
    films = [track for track in tracks if not track.disposition & Disposition.attached_pic]
    known = [track for track in films if track.index in set(moving)]
    return max(known or films or tracks, key=lambda track: track.width * track.height)


def moving_tracks(path: str) -> set[int]:
    """Return the indices of a file's video streams with more than one picture near its beginning."""
    packets: Counter[int] = Counter()
    with av.open(path) as container:
        videos = container.streams.video
        for number, packet in enumerate(container.demux(*videos)):
            packets[packet.stream_index] += packet.size > 0
            moving = {index for index, count in packets.items() if count > 1}
            if len(moving) == len(videos) or number > _SCANNED_PACKETS:
                break
    return {index for index, count in packets.items() if count > 1}


class PixelShape:
    """The width of a track's pixels over their height, which may change within a stream."""

    def __init__(self, track: Track) -> None:
        self._track = track
        self._declared = track.codec_context.sample_aspect_ratio

    @property
    def aspect(self) -> float:
        """Width over height now; 1.0 if unknown or implausible.

        The container's value comes before the decoder's, as in FFmpeg, until that one changes.
        """
        decoded = self._track.codec_context.sample_aspect_ratio
        container = None if decoded != self._declared else self._track.sample_aspect_ratio
        ratio = container or decoded
        return float(ratio) if ratio and _NARROWEST <= ratio <= _WIDEST else 1.0
