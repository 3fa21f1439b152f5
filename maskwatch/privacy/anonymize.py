"""Makes the anonymized pictures; nothing else may be stored, sent or shown.

A detector misses faces, so the picture does not depend on it alone: outside the subject's body box
everything becomes coarse cells. Inside it every tracked face, and every detection down to a low
score, becomes a mosaic with a margin. A covered pixel depends on the quantized cells alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np
import numpy.typing as npt

from maskwatch.domain import Box, Polygon

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image

_LONGEST_SIDE = 1280  # px of the stored picture
_COARSE_CELLS = 32  # along the longer side, outside the subject's body
_MAX_FACE_CELLS = 8  # across a face with its margin
_MARGIN = 0.25  # of the face, on every side

_LEVEL_BITS = 0xF8  # 32 levels per channel
_LEVEL_CENTRE = 0x04

# In face heights from the face's middle.
_BODY_HALF_WIDTH, _BODY_UP, _BODY_DOWN = 1.5, 1.0, 7.0


def body_box(face: Box) -> Box:
    """Return the box of a standing person with this face, from hair to feet."""
    height, middle = face.height, face.centre
    return Box(
        middle.x - _BODY_HALF_WIDTH * height,
        middle.y - _BODY_UP * height,
        middle.x + _BODY_HALF_WIDTH * height,
        middle.y + _BODY_DOWN * height,
    )


def face_area(face: Box) -> Box:
    """Return the area covered for a face: its box with the margin."""
    return face.grown(_MARGIN)


class Anonymizer:
    """Makes anonymized pictures of one camera.

    Args:
        private: outlines (relative, 0 to 1) of what is blackened in every picture.
    """

    def __init__(self, private: Sequence[Polygon] = ()) -> None:
        self._private = tuple(private)

    def picture(
        self, image: Image, bodies: Sequence[Box], covered: Sequence[Box]
    ) -> tuple[Image, float]:
        """Return (uint8 BGR picture, its scale): at most 1280 px along the longer side.

        Args:
            image: uint8 BGR (height, width, 3), the full picture; it is not changed.
            bodies: faces, in pixels of `image`, of the people whose bodies are shown.
            covered: every face that is tracked or was detected with a score of 0.3 or more, except
                that of a subject whom the operator chose to keep recognizable.
        """
        scale = min(1.0, _LONGEST_SIDE / max(image.shape[:2]))
        source = _shrunk(image, scale)
        coarse = math.ceil(max(source.shape[:2]) / _COARSE_CELLS)
        out = mosaic(source, coarse)
        shown = np.zeros(source.shape[:2], np.bool_)
        for face in bodies:
            body = _pixels(body_box(face.scaled(scale)), source)
            out[body], shown[body] = source[body], True
        # The largest last: a small (false) detection inside a face must not add finer cells to it.
        for face in sorted(covered, key=lambda face: max(face.width, face.height)):
            _cover(out, source, face.scaled(scale), shown, coarse)
        self._blacken(out)
        return out, scale

    def _blacken(self, out: Image) -> None:
        height, width = out.shape[:2]
        for outline in self._private:
            corners = [(p.x * width, p.y * height) for p in outline.points]
            cv2.fillPoly(out, [np.round(corners).astype(np.int32)], (0, 0, 0))


def mosaic(image: Image, cell: int) -> Image:
    """Return `image` (uint8, height, width, channels) as cells of `cell` pixels from the upper left.

    Each cell becomes the integer mean of its pixels, quantized to 32 levels: pictures whose cells
    have the same means give the same result to the last bit. Cells at the right and lower
    edge may be smaller.
    """
    height, width = image.shape[:2]
    rows, columns = np.arange(0, height, cell), np.arange(0, width, cell)
    sums = np.add.reduceat(image, columns, axis=1, dtype=np.int64)
    sums = np.add.reduceat(sums, rows, axis=0)
    means = sums // (_lengths(rows, height)[:, None, None] * _lengths(columns, width)[None, :, None])
    colours = (means.astype(np.uint8) & _LEVEL_BITS) | _LEVEL_CENTRE
    wide = np.repeat(colours, _lengths(columns, width), axis=1)
    return np.repeat(wide, _lengths(rows, height), axis=0)


def _lengths(starts: npt.NDArray[np.int64], end: int) -> npt.NDArray[np.int64]:
    return np.diff(starts, append=end)


Slices = tuple[slice, slice]


def _cover(out: Image, source: Image, face: Box, shown: npt.NDArray[np.bool_], coarse: int) -> None:
    """Turn a face into a mosaic; where the picture is coarse already, only if that is coarser still."""
    area = face_area(face)
    side = max(area.width, area.height, 1.0)
    # One cell less than allowed, since the area rarely begins at the edge of a cell.
    cell = math.ceil(side / (_MAX_FACE_CELLS - 1))
    pixels = _pixels(_snapped(area, cell), source)
    where = True if cell > coarse else shown[pixels][:, :, None]
    np.copyto(out[pixels], mosaic(source[pixels], cell), where=where)


def _snapped(area: Box, cell: int) -> Box:
    """Return the area extended to the picture's cells, so that small moves reveal no more."""
    return Box(
        math.floor(area.x1 / cell) * cell,
        math.floor(area.y1 / cell) * cell,
        math.ceil(area.x2 / cell) * cell,
        math.ceil(area.y2 / cell) * cell,
    )


def _pixels(box: Box, image: Image) -> Slices:
    """Return the rows and columns of the box inside the picture; at least one of each."""
    height, width = image.shape[:2]
    x1, y1 = min(max(int(box.x1), 0), width - 1), min(max(int(box.y1), 0), height - 1)
    x2, y2 = min(max(math.ceil(box.x2), x1 + 1), width), min(max(math.ceil(box.y2), y1 + 1), height)
    return slice(y1, y2), slice(x1, x2)


def _shrunk(image: Image, scale: float) -> Image:
    if scale >= 1.0:
        return image
    height, width = image.shape[:2]
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
