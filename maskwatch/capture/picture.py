"""Converts decoded pictures to frames: upright, at analysis size, full size on demand."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, cast

import av
import numpy as np
from av.video.reformatter import Interpolation, VideoReformatter

from maskwatch.capture.source import Fit, Size, square_size
from maskwatch.domain.frame import Frame

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image

_QUARTER = 90


def upright_size(size: Size, clockwise: int) -> Size:
    width, height = size
    return (height, width) if clockwise % 180 else size


class FrameMaker:
    """Makes frames of one stream; not thread-safe.

    `rotation` is in degrees clockwise, in addition to the rotation that the file declares.
    """

    def __init__(self, fit: Fit, rotation: int) -> None:
        self._fit = fit
        self._rotation = rotation
        self._small = VideoReformatter()
        self._large = VideoReformatter()

    def make(
        self,
        video: av.VideoFrame,
        sequence: int,
        captured_at: datetime,
        moment: float,
        pixel_aspect: float = 1.0,
    ) -> Frame:
        """Convert a picture to square pixels at analysis size; the decoded one is kept for `full`."""
        clockwise = (self._rotation - video.rotation) % 360
        square = square_size((video.width, video.height), pixel_aspect)
        full_size = upright_size(square, clockwise)
        stored = upright_size(self._fit(full_size), clockwise)
        image = _bgr(self._small, video, stored, clockwise)
        full = _FullPicture(self._large, video, square, clockwise)
        return Frame(sequence, captured_at, moment, image, full, full_size)


class _FullPicture:
    """The picture at full size, in square pixels, converted at the first call."""

    def __init__(
        self, reformatter: VideoReformatter, video: av.VideoFrame, size: Size, clockwise: int
    ) -> None:
        self._reformatter = reformatter
        self._size = size
        self._video: av.VideoFrame | None = video
        self._clockwise = clockwise
        self._image: Image | None = None

    def __call__(self) -> Image:
        if self._video is not None:
            self._image = _bgr(self._reformatter, self._video, self._size, self._clockwise)
            self._video = None
        assert self._image is not None  # converted by the first call
        return self._image


def _bgr(reformatter: VideoReformatter, video: av.VideoFrame, size: Size, clockwise: int) -> Image:
    """Return uint8 BGR (height, width, 3): scaled to the size as stored, then rotated."""
    width, height = size
    # Measured on 1080p to 640 wide: area averaging is the cheapest and the most accurate.
    shrinks = width <= video.width and height <= video.height
    how = Interpolation.AREA if shrinks else Interpolation.BILINEAR
    scaled = reformatter.reformat(video, width, height, "bgr24", interpolation=how, threads=1)
    image = cast("Image", scaled.to_ndarray())  # bgr24 is always uint8
    if clockwise:
        image = np.ascontiguousarray(np.rot90(image, -(clockwise // _QUARTER)))
    return image
