"""Where to look for faces in a picture: squares, and how many times smaller the detector sees them.

Looks at native size begin at multiples of the detector's coarsest stride, so that a face has the same
box in each of them, and the same as in the whole picture.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from maskwatch.domain import Box, Detection
from maskwatch.vision.motion import CELL

if TYPE_CHECKING:
    from maskwatch.domain.frame import Area, Image, Pixels

SIDE: Final = 256
"""Side in px of what the detector sees of most looks."""

_SMALL_SIDE, _LARGE_SIDE = 160, 384  # px, of looks at small faces and at large ones
_OVERLAP = 64  # px of neighbouring looks of a raster, so that a face as large is whole in one of them
_LONGEST = 512  # px of the longer side of the whole picture in one look
_STRIDE = 32  # px: the detector's coarsest stride
# Sizes of a face that a look must hold beside the stride. With so many, the box of a native look
# differs from that of the whole picture by 0.01 of the face's height.
_CONTEXT, _SETTLED_CONTEXT = 2.4, 1.9
_MARGIN = 32  # px above what moves: hair that looks like its background
_EDGE = 2.0  # px of what the detector sees

Size = tuple[int, int]
Cells = tuple[slice, slice]


@dataclass(frozen=True, slots=True)
class Look:
    """A rectangle of the picture: its upper left corner, and how it is shown to the detector.

    Attributes:
        scale: how many times smaller.
        net: (width, height) in pixels of what the detector sees.
    """

    x: int
    y: int
    scale: int = 1
    net: Size = (SIDE, SIDE)

    @property
    def box(self) -> Box:
        width, height = self.net
        return Box(self.x, self.y, self.x + width * self.scale, self.y + height * self.scale)

    @property
    def cells(self) -> Cells:
        return cells_of(self.box)

    def shows(self, box: Box) -> bool:
        """Return whether the box lies inside, with half its size around it."""
        around, mine = box.grown(0.5), self.box
        across = mine.x1 <= max(0.0, around.x1) and around.x2 <= mine.x2
        return across and mine.y1 <= max(0.0, around.y1) and around.y2 <= mine.y2

    def image(self, pixels: Pixels) -> Image:
        """Return what the detector sees: uint8 BGR (height, width, 3), black beyond the picture."""
        width, height = self.net
        right, bottom = pixels.size
        mine = self.box
        area: Area = (self.x, self.y, min(right, int(mine.x2)), min(bottom, int(mine.y2)))
        part = pixels.part(area)
        if self.scale > 1:
            small = max(1, part.shape[1] // self.scale), max(1, part.shape[0] // self.scale)
            part = np.asarray(cv2.resize(part, small, interpolation=cv2.INTER_AREA), np.uint8)
        if part.shape[:2] == (height, width):
            return part
        image = np.zeros((height, width, 3), np.uint8)
        image[: part.shape[0], : part.shape[1]] = part
        return image

    def located(self, found: Detection, size: Size) -> Detection | None:
        """Return a detection in pixels of the picture; None where another look may show more of it."""
        box, (width, height), mine = found.box, self.net, self.box
        cut = (
            (box.x1 < _EDGE and mine.x1 > 0)
            or (box.y1 < _EDGE and mine.y1 > 0)
            or (box.x2 > width - _EDGE and mine.x2 < size[0])
            or (box.y2 > height - _EDGE and mine.y2 < size[1])
        )
        return None if cut else found.scaled(self.scale).moved(self.x, self.y)


def cells_of(box: Box) -> Cells:
    """Return the cells of the grid that a box touches, as rows and columns."""
    rows = slice(max(0, int(box.y1) // CELL), max(0, math.ceil(box.y2 / CELL)))
    return rows, slice(max(0, int(box.x1) // CELL), max(0, math.ceil(box.x2 / CELL)))


def coarsest(size: Size) -> Look:
    """Return the look at the whole picture at once."""
    scale = math.ceil(max(size) / _LONGEST)
    width, height = (math.ceil(length / scale / _STRIDE) * _STRIDE for length in size)
    return Look(0, 0, scale, (width, height))


def raster(size: Size) -> list[Look]:
    """Return overlapping looks that cover a picture at every scale, the finest first."""
    last = coarsest(size)
    looks, scale = [], 1
    while scale < last.scale:
        columns, rows = (_starts(length, SIDE, scale) for length in size)
        looks += [Look(x, y, scale) for y in rows for x in columns]
        scale *= 2
    return [*looks, last]


def _starts(length: int, side: int, scale: int) -> list[int]:
    step = (side - _OVERLAP) * scale
    count = math.ceil(max(0, length - side * scale) / step) + 1
    return [index * step for index in range(count)]


def covering(area: Box, size: Size) -> list[Look]:
    """Return overlapping looks that cover a part of a picture at every scale, the finest first."""
    last = coarsest(size)
    inside = area.clipped(*size)
    first = min(int(inside.x1), size[0] - 1), min(int(inside.y1), size[1] - 1)
    corner = [start // _STRIDE * _STRIDE for start in first]
    looks, scale = [], 1
    while scale < last.scale:
        width, height = inside.x2 - corner[0], inside.y2 - corner[1]
        side = SIDE if max(width, height) <= SIDE * scale else _LARGE_SIDE
        columns, rows = (_starts(math.ceil(length), side, scale) for length in (width, height))
        looks += [Look(corner[0] + x, corner[1] + y, scale, (side, side)) for y in rows for x in columns]
        scale *= 2
    return [*looks, last]


def around(face: Box, size: Size, *, settled: bool) -> Look:
    """Return the look at a face; a coarser one where all is decided about it (`settled`)."""
    extent = max(face.width, face.height)
    if settled:
        scale = math.ceil(_SETTLED_CONTEXT * extent / (_SMALL_SIDE - _STRIDE))
        return _centred(face, Look(0, 0, scale, (_SMALL_SIDE, _SMALL_SIDE)), size)
    scale = 1
    while _CONTEXT * extent > (_LARGE_SIDE - _STRIDE) * scale:
        scale *= 2
    sides = (_SMALL_SIDE, SIDE, _LARGE_SIDE)
    side = next(side for side in sides if _CONTEXT * extent <= (side - _STRIDE) * scale)
    return _centred(face, Look(0, 0, scale, (side, side)), size)


def wider(look: Look, face: Box, size: Size) -> Look:
    """Return a look at the surroundings of a face that a look at it did not find."""
    scale = look.scale if look.net[0] < SIDE else 2 * look.scale
    return _centred(face, Look(0, 0, scale), size)


def over(blob: Box, size: Size) -> Iterator[Look]:
    """Yield looks at the upper part of something that moves, where a person's face is."""
    last = coarsest(size)
    scale = 1
    while scale < last.scale and (scale == 1 or blob.height >= 0.6 * SIDE * scale):
        side = SIDE * scale
        count = max(1, math.ceil((blob.width - 0.2 * side) / (0.8 * side)))
        for index in range(count):
            share = (index + 0.5) / count
            x, top = blob.x1 + share * blob.width, blob.y1 - _MARGIN * scale
            middle = blob.centre.y if blob.height + 2 * _MARGIN * scale <= side else top + side / 2
            yield _centred(Box(x, middle, x, middle), Look(0, 0, scale), size)
        scale *= 2
    if scale == 1 or blob.height >= 0.6 * _LONGEST:
        yield last


def _centred(box: Box, look: Look, size: Size) -> Look:
    """Return the look with the box in its middle, and inside the picture where it fits."""
    step = _STRIDE * look.scale
    corners = []
    middle = box.centre.x, box.centre.y
    for centre, length, net in zip(middle, size, look.net, strict=True):
        side = net * look.scale
        last = math.ceil(max(0, length - side) / step)
        corners.append(min(max(round((centre - side / 2) / step), 0), last) * step)
    return Look(corners[0], corners[1], look.scale, look.net)
