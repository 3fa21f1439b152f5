"""Reads and resizes pictures for scenes, training and evaluation."""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import PIL.Image

from maskwatch.errors import DataError
from maskwatch.files import MIB, read_file

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image

_LARGEST: Final = 256 * MIB
_MAX_PIXELS: Final = 100_000_000  # 300 MB when decoded; the largest camera has about as many


def read_picture(path: Path) -> Image:
    """Return the picture as uint8 BGR.

    Raises:
        DataError: it cannot be decoded completely, or has too many pixels.
    """
    try:
        content = read_file(path, _LARGEST)
        _check_size(path, content)
        data = np.frombuffer(content, np.uint8)
        # From memory OpenCV rejects a truncated picture; from a file it fills the rest with grey.
        image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except cv2.error as error:
        raise DataError(f"{path}: not a picture: {error.err}") from error
    if image is None:
        raise DataError(f"{path}: not a picture, or truncated")
    return np.asarray(image, np.uint8)


def _check_size(path: Path, content: bytes) -> None:
    """Raise DataError if the header declares too many pixels; a small file may decode to gigabytes."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow's own, larger limit
            width, height = PIL.Image.open(io.BytesIO(content)).size
    except PIL.Image.DecompressionBombError:
        raise DataError(f"{path}: more than {_MAX_PIXELS // 10**6} million pixels") from None
    except (OSError, ValueError, SyntaxError):
        raise DataError(f"{path}: not a picture, or truncated") from None  # of no known size
    if width * height > _MAX_PIXELS:
        raise DataError(
            f"{path}: {width} x {height} pixels; expected at most {_MAX_PIXELS // 10**6} million"
        )


def folder_name(folder: Path) -> str:
    """Return the name of a folder, also for the paths "." and ".."."""
    return folder.resolve().name if folder.name in {"", ".."} else folder.name


def limited(image: Image, max_side: int) -> Image:
    """Return the image, downscaled if necessary so that no side exceeds `max_side` pixels."""
    factor = max_side / max(image.shape[:2])
    return image if factor >= 1 else scaled(image, factor)


def scaled(image: Image, factor: float) -> Image:
    """Return the image scaled by `factor`, with at least one pixel per side."""
    height, width = round(image.shape[0] * factor), round(image.shape[1] * factor)
    if min(height, width) > 0:
        resized = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    else:
        size = (max(1, width), max(1, height))
        resized = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.uint8)
