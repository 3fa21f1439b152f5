"""What changed and was not looked at stays needed."""

from __future__ import annotations

import numpy as np

from maskwatch.vision.changes import MAX_GAP, Changes
from maskwatch.vision.looks import Look

_SHAPE = (90, 160)


def _grid(seed: int, *, level: float = 120.0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(0, 1.0, _SHAPE)
    return (level + noise).astype(np.float32)


def _with_visitor(seed: int) -> np.ndarray:
    grid = _grid(seed)
    grid[30:40, 50:56] += 60
    return grid


def test_a_change_stays_until_somebody_looks() -> None:
    changes = Changes(_grid(0), 0.0, [1])
    for index in range(1, 30):
        changes.update(_with_visitor(index), index / 5)
    assert changes.now[31:39, 51:55].all()
    changes.looked(Look(320, 192), fruitful=False)
    changes.update(_with_visitor(30), 6.0)
    assert not changes.now.any()


def test_a_coarse_look_does_not_settle_what_a_small_face_may_be() -> None:
    changes = Changes(_grid(0), 0.0, [1, 4])
    changes.update(_with_visitor(1), 0.2)
    changes.looked(Look(0, 0, 4, (320, 192)), fruitful=False)
    changes.update(_with_visitor(2), 0.4)
    assert changes.now[31:39, 51:55].all()


def test_noise_and_light_are_no_change() -> None:
    changes = Changes(_grid(0), 0.0, [1])
    for index in range(1, 20):
        changes.update(_grid(index, level=120.0 + 3 * index), index / 5)
        assert not changes.now.any()


def test_places_without_a_find_are_looked_at_less_often() -> None:
    changes = Changes(_grid(0), 0.0, [1])
    look, seen = Look(320, 192), []
    for index in range(1, 26):
        changes.update(_with_visitor(index) + 30 * (index % 2), index / 5)
        where = changes.moved_within(1.0)
        where[30:40, 50:56] = True
        if changes.urgency(look, where):
            seen.append(index)
            changes.looked(look, fruitful=False)
    assert np.diff(seen[:2]).max() == 1
    assert np.diff(seen[-3:]).min() >= 4


def test_a_gap_or_another_size_ends_the_memory() -> None:
    changes = Changes(_grid(0), 10.0, [1])
    assert changes.continues(_grid(1), 10.0 + MAX_GAP)
    assert not changes.continues(_grid(1), 10.1 + MAX_GAP)
    assert not changes.continues(_grid(1), 9.0)
    assert not changes.continues(_grid(1)[:80], 10.2)
