"""Makes frames of decoded pictures: upright, in square pixels, converted only where that is needed.

A frame holds the decoder's own planes. Brightness is read from the first of them, and colours are made
of the area that is asked for.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Final, cast

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from maskwatch.capture.source import Fit, Size, square_size
from maskwatch.domain.frame import Area, Frame, Luma

if TYPE_CHECKING:
    import numpy.typing as npt

    from maskwatch.domain.frame import Image

_QUARTER = 90
_PLANAR: Final = ("yuv420p", "yuvj420p")  # the formats whose planes are read directly
# Shares of red and blue in the brightness. FFmpeg takes BT.601 where a stream states none.
_BT601, _BT709 = (0.299, 0.114), (0.2126, 0.0722)


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
        self._shrinker = VideoReformatter()
        self._converters = VideoReformatter(), VideoReformatter()

    def make(
        self,
        video: av.VideoFrame,
        sequence: int,
        captured_at: datetime,
        moment: float,
        pixel_aspect: float = 1.0,
    ) -> Frame:
        """Return the frame of a picture, which is kept until the frame is dropped."""
        clockwise = (self._rotation - video.rotation) % 360
        square = square_size((video.width, video.height), pixel_aspect)
        stored = upright_size(self._fit(upright_size(square, clockwise)), clockwise)
        small = self._planar(video, stored)
        analysed = DecodedPixels(small, stored, clockwise, self._converters[0])
        camera = (
            analysed
            if stored == square
            else DecodedPixels(video, square, clockwise, self._converters[1])
        )
        luma = Luma(_turned(_plane(small, 0), clockwise), limited=not _has_full_range(small))
        return Frame(sequence, captured_at, moment, luma, analysed, camera)

    def _planar(self, video: av.VideoFrame, size: Size) -> av.VideoFrame:
        """Return the picture as planes of this size; the picture itself where it is such already."""
        if video.format.name in _PLANAR and (video.width, video.height) == size:
            return video
        return _reformatted(self._shrinker, video, size, "yuv420p")


class DecodedPixels:
    """A decoded picture as `Pixels`: shown at `size` as stored, then turned clockwise (degrees)."""

    def __init__(
        self, video: av.VideoFrame, size: Size, clockwise: int, converter: VideoReformatter
    ) -> None:
        self._video, self._stored, self._clockwise = video, size, clockwise
        self._converter = converter
        self._planar = video.format.name in _PLANAR and (video.width, video.height) == size
        self._whole: Image | None = None

    @property
    def size(self) -> Size:
        return upright_size(self._stored, self._clockwise)

    def whole(self) -> Image:
        if self._whole is None:
            scaled = _reformatted(self._converter, self._video, self._stored, "bgr24")
            image = cast("Image", scaled.to_ndarray())  # bgr24 is always uint8
            self._whole = np.ascontiguousarray(_turned(image, self._clockwise))
        return self._whole

    def release(self) -> None:
        self._whole = None

    def part(self, area: Area) -> Image:
        if self._whole is not None or not self._planar:
            left, top, right, bottom = area
            return self.whole()[top:bottom, left:right]
        stored = _as_stored(area, self._stored, self._clockwise)
        return np.ascontiguousarray(_turned(_bgr_of_planes(self._video, stored), self._clockwise))


def _as_stored(area: Area, size: Size, clockwise: int) -> Area:
    """Return where an area of the upright picture lies in the picture as stored, of this size."""
    left, top, right, bottom = area
    width, height = size
    match clockwise:
        case 90:
            return top, height - right, bottom, height - left
        case 180:
            return width - right, height - bottom, width - left, height - top
        case 270:
            return width - bottom, left, width - top, right
        case _:
            return area


def _bgr_of_planes(video: av.VideoFrame, area: Area) -> Image:
    """Return uint8 BGR of an area of a planar picture."""
    left, top, right, bottom = area
    # Chroma has half the resolution: the area grows to even sides, and shrinks again at the end.
    x, y = left & ~1, top & ~1
    half = slice(y // 2, (bottom + 1) // 2), slice(x // 2, (right + 1) // 2)
    u, v = _plane(video, 1)[half], _plane(video, 2)[half]
    grey = _plane(video, 0)[y : y + 2 * u.shape[0], x : x + 2 * u.shape[1]]
    missing = 2 * u.shape[0] - grey.shape[0], 2 * u.shape[1] - grey.shape[1]
    if any(missing):  # a picture with an odd side
        padded = cv2.copyMakeBorder(grey, 0, missing[0], 0, missing[1], cv2.BORDER_REPLICATE)
        grey = np.asarray(padded, np.uint8)
    to_bgr = None if _is_usual(video) else _to_bgr(video)
    bgr = _usual_bgr(grey, u, v) if to_bgr is None else _bgr(grey, u, v, to_bgr)
    return bgr[top - y : bottom - y, left - x : right - x]


def _usual_bgr(grey: Image, u: Image, v: Image) -> Image:
    """Convert planes of BT.601 in limited range, for which OpenCV has a fast way."""
    height, width = grey.shape
    i420 = np.concatenate([grey.ravel(), u.ravel(), v.ravel()]).reshape(height * 3 // 2, width)
    return np.asarray(cv2.cvtColor(i420, cv2.COLOR_YUV2BGR_I420), np.uint8)


def _bgr(grey: Image, u: Image, v: Image, to_bgr: npt.NDArray[np.float64]) -> Image:
    size = grey.shape[1], grey.shape[0]
    chroma = [cv2.resize(plane, size, interpolation=cv2.INTER_NEAREST) for plane in (u, v)]
    merged = cv2.merge([np.ascontiguousarray(grey), *chroma])
    return np.asarray(cv2.transform(merged, to_bgr), np.uint8)


def _to_bgr(video: av.VideoFrame) -> npt.NDArray[np.float64]:
    """Return the matrix (3, 4) from (brightness, u, v, 1) to (blue, green, red)."""
    red, blue = _BT709 if video.colorspace == Colorspace.ITU709 else _BT601
    green = 1 - red - blue
    is_full = _has_full_range(video)
    gain, spread, black = (1.0, 1.0, 0.0) if is_full else (255 / 219, 255 / 224, 16.0)
    of_u, of_v = 2 * (1 - blue) * spread, 2 * (1 - red) * spread
    matrix = np.array(
        [
            [gain, of_u, 0.0],
            [gain, -of_u * blue / green, -of_v * red / green],
            [gain, 0.0, of_v],
        ]
    )
    return np.column_stack([matrix, -(matrix @ (black, 128.0, 128.0))])


def _is_usual(video: av.VideoFrame) -> bool:
    return video.colorspace != Colorspace.ITU709 and not _has_full_range(video)


def _has_full_range(video: av.VideoFrame) -> bool:
    return video.format.name.startswith("yuvj") or video.color_range == ColorRange.JPEG


def _plane(video: av.VideoFrame, index: int) -> Image:
    """Return a view of a plane, uint8 (height, width), valid as long as it is referenced."""
    plane = video.planes[index]
    rows = np.frombuffer(cast("memoryview", plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: plane.height, : plane.width]


def _turned(image: Image, clockwise: int) -> Image:
    """Return a view of the image, turned."""
    return np.rot90(image, -(clockwise // _QUARTER)) if clockwise else image


def _reformatted(
    reformatter: VideoReformatter, video: av.VideoFrame, size: Size, pixel_format: str
) -> av.VideoFrame:
    width, height = size
    # Measured on 1080p to 640 wide: area averaging is the cheapest and the most accurate.
    shrinks = width <= video.width and height <= video.height
    how = Interpolation.AREA if shrinks else Interpolation.BILINEAR
    return reformatter.reformat(video, width, height, pixel_format, interpolation=how, threads=1)
