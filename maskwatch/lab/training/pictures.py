"""One way to read a picture for training and measuring, whatever is in the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np

from maskwatch.errors import DataError
from maskwatch.files import MIB, read_file

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image

__all__ = ["at_most", "folder_name", "read_picture", "scaled"]

_LARGEST: Final = 256 * MIB


def read_picture(path: Path) -> Image:
    """Return the picture as uint8 BGR. Raises DataError that names it where it cannot be read whole."""
    try:
        data = np.frombuffer(read_file(path, _LARGEST), np.uint8)
        # From memory OpenCV gives nothing for a file that is cut off; from a file it fills up with grey.
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except cv2.error as error:
        raise DataError(f"{path}: no picture: {error.err}") from error
    if image is None:
        raise DataError(f"{path}: no picture, or one that is cut off")
    return np.asarray(image, np.uint8)


def folder_name(folder: Path) -> str:
    """Return the name of a folder, also where it is given as "." or ".."."""
    return folder.resolve().name if folder.name in {"", ".."} else folder.name


def at_most(image: Image, longest: int) -> Image:
    """Return the image with a longer side of `longest` pixels at most."""
    factor = longest / max(image.shape[:2])
    return image if factor >= 1 else scaled(image, factor)


def scaled(image: Image, factor: float) -> Image:
    """Return the image `factor` times as large, and at least one pixel wide and high."""
    height, width = round(image.shape[0] * factor), round(image.shape[1] * factor)
    if min(height, width) > 0:
        resized = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    else:
        size = (max(1, width), max(1, height))
        resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.uint8)
