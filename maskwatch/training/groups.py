"""Near-duplicates: which pictures show the same photograph, and splits that keep them together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image

__all__ = ["fingerprint", "near_any", "near_groups", "split_groups"]

SAME: Final = 6  # of 64 bits may differ within a group
LEAK: Final = 8  # of 64 bits: as near as this to a test picture, and it is not trained on
_BLOCK: Final = 1024


def fingerprint(image: Image) -> Image:
    """Return the perceptual hash of a uint8 BGR image: 64 values of 0 or 1 (signs of low DCT terms)."""
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (32, 32), interpolation=cv2.INTER_AREA)
    terms = cv2.dct(grey.astype(np.float32))[:8, :8].ravel()
    return np.asarray(terms > np.median(terms[1:]), np.uint8)


def mirrored(prints: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the hashes (n, 64) of the mirrored images: odd horizontal terms change their sign."""
    flipped = prints.reshape(-1, 8, 8).copy()
    flipped[:, :, 1::2] = 1 - flipped[:, :, 1::2]
    return flipped.reshape(-1, 64)


def _distances(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the Hamming distances (len(a), len(b)), the smaller of plain and mirrored."""
    left, right, turned = (x.astype(np.float32) * 2 - 1 for x in (a, b, mirrored(b)))
    return np.asarray((64 - np.maximum(left @ right.T, left @ turned.T)) / 2, np.float32)


def near_any(
    prints: Sequence[Image], others: Sequence[Image], limit: int = LEAK
) -> npt.NDArray[np.bool_]:
    """Return for each of `prints` whether it is within `limit` bits of any of `others`."""
    if not prints or not others:
        return np.zeros(len(prints), bool)
    a, b = np.stack(prints), np.stack(others)
    rows = [(_distances(a[i : i + _BLOCK], b) <= limit).any(axis=1) for i in range(0, len(a), _BLOCK)]
    return np.concatenate(rows)


def near_groups(
    prints: Sequence[Image], names: Sequence[str], limit: int = SAME
) -> npt.NDArray[np.int64]:
    """Return a group number per picture: one for those of one name, or within `limit` bits."""
    parent = list(range(len(prints)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[str, int] = {}
    for i, name in enumerate(names):
        parent[root(i)] = root(first.setdefault(name, i))
    heads = sorted(first.values())
    stacked = np.stack([prints[i] for i in heads]) if heads else np.zeros((0, 64), np.uint8)
    for start in range(0, len(heads), _BLOCK):
        near = _distances(stacked[start : start + _BLOCK], stacked) <= limit
        for i, j in zip(*np.nonzero(near), strict=True):
            parent[root(heads[start + int(i)])] = root(heads[int(j)])
    return np.array([root(i) for i in range(len(prints))], np.int64)


def split_groups(groups: npt.NDArray[np.int64], share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Return True for about `share` of the pictures, whole groups at a time, reproducibly."""
    names, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng([seed, 0x5EED]).permutation(len(names))
    chosen = np.zeros(len(names), bool)
    taken = np.cumsum(sizes[order]) <= share * len(groups)
    chosen[order[taken]] = True
    return np.asarray(chosen[inverse], bool)
