"""Near-duplicates: finds pictures of the same photograph, and splits that keep them together."""

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

_MAX_GROUP_DISTANCE: Final = 6  # bits of 64 that may differ within a group
_MAX_LEAK_DISTANCE: Final = 8  # bits of 64; a picture this near to a test picture is not trained on
_BLOCK: Final = 1024
_SUFFIX: Final = re.compile(r"\.[A-Za-z][A-Za-z0-9]{1,4}$")


def fingerprint(image: Image) -> Image:
    """Return the perceptual hash of a uint8 BGR image: 64 values of 0 or 1 (signs of low DCT terms)."""
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), (32, 32), interpolation=cv2.INTER_AREA)
    terms = cv2.dct(grey.astype(np.float32))[:8, :8].ravel()
    return np.asarray(terms > np.median(terms[1:]), np.uint8)


def mirrored(prints: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return the hashes (n, 64) of the mirrored images: odd horizontal terms change sign."""
    flipped = prints.reshape(-1, 8, 8).copy()
    flipped[:, :, 1::2] = 1 - flipped[:, :, 1::2]
    return flipped.reshape(-1, 64)


def _distances(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the Hamming distances (len(a), len(b)), the smaller of plain and mirrored."""
    left, right, flipped = (x.astype(np.float32) * 2 - 1 for x in (a, b, mirrored(b)))
    return np.asarray((64 - np.maximum(left @ right.T, left @ flipped.T)) / 2, np.float32)


def near_any(
    prints: Sequence[Image], others: Sequence[Image], limit: int = _MAX_LEAK_DISTANCE
) -> npt.NDArray[np.bool_]:
    """Return for each of `prints` whether it is within `limit` bits of any of `others`."""
    if not prints or not others:
        return np.zeros(len(prints), bool)
    a, b = np.stack(prints), np.stack(others)
    rows = [(_distances(a[i : i + _BLOCK], b) <= limit).any(axis=1) for i in range(0, len(a), _BLOCK)]
    return np.concatenate(rows)


def cut_from(originals: Iterable[str], scenes: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return for each of `originals` (paths of photographs of crops) the scenes that it may name.

    A scene's name is the folder of its annotations and its path in there. Paths are compared from
    their ends, without suffix, up to the length of the shorter: `set/images/7.png` and `7` both name
    the scene `hall/images/7.jpg`, unless another scene agrees further. The hashes of a crop and of its
    photograph differ, so they cannot replace the names.
    """
    by_tail: dict[tuple[str, ...], list[tuple[str, int]]] = defaultdict(list)
    for scene in sorted(set(scenes)):
        parts = _parts(scene)
        for tail in _tails(parts):
            by_tail[tail].append((scene, len(parts) - 1))
    return {original: _named_scenes(_parts(original), by_tail) for original in originals}


def _named_scenes(
    original: tuple[str, ...], by_tail: Mapping[tuple[str, ...], list[tuple[str, int]]]
) -> tuple[str, ...]:
    for tail in _tails(original):
        found = [
            scene for scene, length in by_tail.get(tail, ()) if len(tail) >= min(length, len(original))
        ]
        if found:
            return tuple(found)
    return ()


def _parts(path: str) -> tuple[str, ...]:
    """Return the folders and the name of a path, without the name's suffix."""
    return tuple(_SUFFIX.sub("", path).replace("\\", "/").split("/"))


def _tails(parts: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Return the ends of a path, the longest first."""
    return [parts[i:] for i in range(len(parts))]


def near_groups(
    prints: Sequence[Image], names: Sequence[tuple[str, ...]], limit: int = _MAX_GROUP_DISTANCE
) -> npt.NDArray[np.int64]:
    """Return a group number per picture; pictures share it by name, or by `limit` bits of distance."""
    parent = list(range(len(prints)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    first: dict[str | bytes, int] = {}
    hashes = [each.tobytes() for each in prints]
    for i, own in enumerate(names):
        keys: tuple[str | bytes, ...] = (*own, hashes[i])
        for key in keys:
            parent[root(i)] = root(first.setdefault(key, i))
    distinct = sorted({first[each] for each in hashes})
    stacked = np.stack([prints[i] for i in distinct]) if distinct else np.zeros((0, 64), np.uint8)
    for start in range(0, len(distinct), _BLOCK):
        near = _distances(stacked[start : start + _BLOCK], stacked) <= limit
        for i, j in zip(*np.nonzero(near), strict=True):
            parent[root(distinct[start + int(i)])] = root(distinct[int(j)])
    return np.array([root(i) for i in range(len(prints))], np.int64)


def split_groups(groups: npt.NDArray[np.int64], share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Return True for about `share` of the pictures, whole groups at a time, reproducibly."""
    names, inverse, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = np.random.default_rng([seed, 0x5EED]).permutation(len(names))
    chosen = np.zeros(len(names), bool)
    taken = np.cumsum(sizes[order]) <= share * len(groups)
    chosen[order[taken]] = True
    return np.asarray(chosen[inverse], bool)
