"""Difficult subsets of an evaluation: found (grey, dark, profile), or made from the pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import numpy.typing as npt

from maskwatch.lab.training import occlude
from maskwatch.lab.training.augment import dim, infrared
from maskwatch.lab.training.dataset import Photo
from maskwatch.lab.training.sampler import landmarks

if TYPE_CHECKING:
    from numpy.random import Generator

    from maskwatch.domain.frame import Image

_MAX_GREY_SPREAD: Final = 8.0  # mean spread of the channels, of 255, up to which a picture is grey
_MAX_DARK: Final = 60.0  # mean luminance, of 255, below which a picture is dark
_PROFILE_OFFSET: Final = 0.32  # nose's offset from the eyes' centre over the distance to the mouth

_PAINTED: Final[dict[str, Callable[[Image, npt.NDArray[np.float32], Generator], Image]]] = {
    "beard": occlude.beard,
    "hand": occlude.hand,
    "scarf": occlude.scarf,
    "glasses": occlude.glasses,
}


def found(photos: Sequence[Photo]) -> dict[str, npt.NDArray[np.bool_]]:
    """Return for each slice found in the pictures which of `photos` are in it."""
    tests = {"infra-red or grey": _grey, "dark": _dark, "profile": _profile}
    return {name: np.array([test(photo) for photo in photos], bool) for name, test in tests.items()}


def _grey(photo: Photo) -> bool:
    spread = photo.image.max(axis=2).astype(np.int16) - photo.image.min(axis=2)
    return float(spread.mean()) <= _MAX_GREY_SPREAD


def _dark(photo: Photo) -> bool:
    return float(cv2.cvtColor(photo.image, cv2.COLOR_BGR2GRAY).mean()) < _MAX_DARK


def _profile(photo: Photo) -> bool:
    if photo.face is None:
        return False
    marks = landmarks(photo.face)
    centre, mouth = marks[:2].mean(axis=0), marks[3:].mean(axis=0)
    length = float(np.linalg.norm(mouth - centre))
    return abs(float(marks[2, 0] - centre[0])) > _PROFILE_OFFSET * max(length, 1e-6)


def made(photos: Sequence[Photo], seed: int = 0) -> dict[str, list[Photo]]:
    """Return modified pictures for slices of which collections have too few.

    Night and infra-red are made from every photo; beard, hand, scarf and glasses are painted onto
    faces without a mask whose landmarks the detector found (the label stays). The figures show which
    slices are difficult, but not how difficult the real ones are.
    """
    rng = np.random.default_rng(seed)
    slices = {
        "night (made)": [replace(p, image=dim(p.image, rng)) for p in photos],
        "infra-red (made)": [replace(p, image=infrared(p.image, rng)) for p in photos],
    }
    bare = [p for p in photos if p.label == 1 and p.face is not None]
    for name, paint in _PAINTED.items():
        slices[f"{name} (painted)"] = [
            replace(p, image=paint(p.image, landmarks(p.face), rng)) for p in bare if p.face is not None
        ]
    return {name: rows for name, rows in slices.items() if rows}
