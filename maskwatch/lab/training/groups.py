"""Near-duplicates: which pictures show the same photograph, and splits that keep them together."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import cv2
import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image

__all__ = ["cut_from", "fingerprint", "near_any", "near_groups", "split_groups"]

SAME: Final = 6  # of 64 bits may differ within a group
LEAK: Final = 8  # of 64 bits: as near as this to a test picture, and it is not trained on
_BLOCK: Final = 1024
_SUFFIX: Final = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}$")


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


def cut_from(originals: Iterable[str], scenes: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return for each of `originals` (paths of what crops were cut from) the scenes that it may mean.

    A scene is called by the folder of its annotations and its path in there. Paths are compared from
    their ends, without suffix, as far as the shorter goes: `set/images/7.png` and `7` both mean the
    scene `hall/images/7.jpg`, but for one that agrees further. A look cannot tell: a crop looks
    unlike its photograph.
    """
    ends: dict[tuple[str, ...], list[tuple[str, int]]] = defaultdict(list)
    for scene in sorted(set(scenes)):
        parts = _parts(scene)
        for tail in _tails(parts):
            ends[tail].append((scene, len(parts) - 1))
    return {original: _meant(_parts(original), ends) for original in originals}


def _meant(
    original: tuple[str, ...], ends: Mapping[tuple[str, ...], list[tuple[str, int]]]
) -> tuple[str, ...]:
    for tail in _tails(original):
        met = [s for s, least in ends.get(tail, ()) if len(tail) >= min(least, len(original))]
        if met:
            return tuple(met)
    return ()


def _parts(path: str) -> tuple[str, ...]:
    """Return the folders and the name of a path, the name without its suffix."""
    return tuple(_SUFFIX.sub("", path).replace("\\", "/").split("/"))


def _tails(parts: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the ends of a path, the longest first."""
    return [parts[i:] for i in range(len(parts))]


def near_groups(
    prints: Sequence[Image], names: Sequence[tuple[str, ...]], limit: int = SAME
) -> npt.NDArray[np.int64]:
    """Return a group number per picture: one for those that share a name, or are within `limit` bits."""
    parent = list(range(len(prints)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[str | bytes, int] = {}
    looks = [look.tobytes() for look in prints]
    for i, own in enumerate(names):
        keys: tuple[str | bytes, ...] = (*own, looks[i])
        for name in keys:
            parent[root(i)] = root(first.setdefault(name, i))
    heads = sorted({first[look] for look in looks})
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
