"""Mosaic: a picture of cells of one colour each, from which nothing finer can be recovered."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image

__all__ = ["mosaic"]

_LEVEL_BITS = 0xF8  # 32 levels per channel
_LEVEL_CENTRE = 0x04


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
