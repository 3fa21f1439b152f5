"""Make a clip of one unchanging picture: what a camera shows before and after the action."""

from __future__ import annotations

import io
from collections import deque
from fractions import Fraction
from pathlib import Path

import av
from av.video.frame import PictureType

from maskwatch.errors import SourceGarbageError
from maskwatch.lab.rtsp.clip import Clip, Codec

__all__ = ["first_still", "last_still"]

_ENCODERS = {Codec.H264: "libx264", Codec.H265: "libx265"}
_QUIET = {"x265-params": "log-level=none"}


def first_still(path: str | Path, like: Clip) -> Clip:
    """One second of the first frame of `path`, coded like the clip."""
    with av.open(str(path)) as container:
        frame = next(container.decode(video=0), None)
    return _still(frame, path, like)


def last_still(path: str | Path, like: Clip) -> Clip:
    """One second of the last frame of `path`, coded like the clip."""
    last: deque[av.VideoFrame] = deque(maxlen=1)
    with av.open(str(path)) as container:
        last.extend(container.decode(video=0))
    return _still(next(iter(last), None), path, like)


def _still(frame: av.VideoFrame | None, path: str | Path, like: Clip) -> Clip:
    if frame is None:
        raise SourceGarbageError(f"{path}: no frame can be decoded")
    with av.open(_encode(frame, like), "r") as container:
        return Clip.read(container, str(path))


def _encode(frame: av.VideoFrame, like: Clip) -> io.BytesIO:
    """A second of MP4: one key frame and as many repetitions as the rate asks for."""
    rate = Fraction(like.rate).limit_denominator(1001)
    target = io.BytesIO()
    with av.open(target, "w", format="mp4") as container:
        options = {"preset": "ultrafast", "tune": "zerolatency", "g": "1000", "bf": "0"}
        if like.codec is Codec.H265:
            options |= _QUIET
        stream = container.add_stream(_ENCODERS[like.codec], rate=rate, options=options)
        assert isinstance(stream, av.VideoStream)  # both encoders make video
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "yuv420p"
        picture = frame.reformat(format="yuv420p")
        picture.pict_type = PictureType.NONE  # else each one becomes a key frame as this one was
        for index in range(max(1, round(rate))):
            picture.pts, picture.time_base = index, 1 / rate
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    target.seek(0)
    return target
