"""Near-duplicates are found and kept together."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.training.groups import fingerprint, near_any, near_groups, split_groups


def photo(seed: int) -> np.ndarray:
    """A smooth picture unlike any other."""
    small = np.random.default_rng(seed).integers(0, 256, (7, 7, 3), np.uint8)
    return cv2.resize(small, (96, 96), interpolation=cv2.INTER_CUBIC)


def test_copies_are_found_and_strangers_are_not() -> None:
    """Smaller, compressed, brighter, mirrored: the same photograph."""
    image = photo(0)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 40])
    copies = [
        cv2.resize(image, (40, 40), interpolation=cv2.INTER_AREA),
        cv2.imdecode(data, cv2.IMREAD_COLOR),
        cv2.convertScaleAbs(image, alpha=0.8, beta=20),
        image[:, ::-1],
    ]
    hits = near_any([fingerprint(c) for c in [*copies, photo(1), photo(2)]], [fingerprint(image)])
    assert hits.tolist() == [True] * 4 + [False] * 2


def test_groups_join_names_and_looks() -> None:
    """Faces of one photograph, and copies of it elsewhere, get one number."""
    looks = [fingerprint(photo(i)) for i in (0, 0, 1, 2)]
    groups = near_groups(looks, ["a", "b", "c", "c"])
    assert groups[0] == groups[1]
    assert groups[2] == groups[3] != groups[0]


def test_nothing_to_compare_with_is_no_leak() -> None:
    """Without a test split nothing leaks."""
    assert near_any([fingerprint(photo(0))], []).tolist() == [False]
    assert near_groups([], []).tolist() == []


@given(st.lists(st.integers(0, 30), min_size=1, max_size=200), st.floats(0.05, 0.6), st.integers(0, 9))
def test_a_split_never_cuts_a_group(groups: list[int], share: float, seed: int) -> None:
    """And it takes no more than its share, the same for the same seed."""
    numbers = np.array(groups, np.int64)
    chosen = split_groups(numbers, share, seed)
    assert not set(numbers[chosen]) & set(numbers[~chosen])
    assert chosen.sum() <= share * len(numbers)
    assert (chosen == split_groups(numbers, share, seed)).all()
