"""The motion gate skips empty scenes and misses no person."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from maskwatch.domain import Point
from maskwatch.vision.motion import MotionGate
from tests.fakes.vision import luma, picture


def _textured(seed: int) -> np.ndarray:
    """A picture of rectangles, as rooms are."""
    rng = np.random.default_rng(seed)
    image = np.full((360, 640, 3), 128, np.uint8)
    for _ in range(60):
        x, y, w, h = (int(v) for v in rng.integers((0, 0, 20, 20), (600, 330, 160, 120)))
        image[y : y + h, x : x + w] = rng.integers(40, 190, 3)
    return image


_ROOM = _textured(1)


def _room(noise: float = 2.0, seed: int = 0) -> np.ndarray:
    """The same room each time, with a sensor's noise."""
    grain = np.random.default_rng(seed).normal(0, noise, _ROOM.shape)
    return np.clip(_ROOM + grain, 0, 255).astype(np.uint8)


def _visitor(x: int, seed: int, size: tuple[int, int] = (24, 60), lighter: int = 60) -> np.ndarray:
    image = _room(seed=seed).astype(np.int16)
    image[150 : 150 + size[1], x : x + size[0]] += lighter
    return np.clip(image, 0, 255).astype(np.uint8)


def _admitted(
    gate: MotionGate, frames: list[np.ndarray], rate: float = 5.0, awake: bool = False
) -> list[bool]:
    return [gate.admit(luma(image), index / rate, awake=awake) for index, image in enumerate(frames)]


def test_an_empty_room_is_analysed_at_intervals_only() -> None:
    admitted = _admitted(MotionGate(max_interval=2.0), [_room(seed=i) for i in range(51)])
    assert admitted[0]
    assert 5 <= sum(admitted) <= 12


def test_a_person_who_enters_is_analysed_in_that_very_frame() -> None:
    """Mutation "gate stuck shut": a gate that never opens again fails here."""
    gate = MotionGate(max_interval=60.0)
    assert not any(_admitted(gate, [_room(seed=i) for i in range(30)])[8:])
    assert gate.admit(luma(_visitor(300, 99)), 6.0, awake=False)


def test_motion_keeps_the_gate_open_for_a_while() -> None:
    gate = MotionGate(max_interval=60.0, hold=1.0)
    _admitted(gate, [_room(seed=i) for i in range(10)])
    gate.admit(luma(_visitor(300, 50)), 2.0, awake=False)
    still = [gate.admit(luma(_visitor(300, 51 + i)), 2.2 + i / 5, awake=False) for i in range(10)]
    assert still[:4] == [True] * 4
    assert not any(still[6:])


def test_a_still_person_in_view_keeps_the_gate_open() -> None:
    assert all(_admitted(MotionGate(), [_room(seed=i) for i in range(30)], awake=True))


def test_slow_changes_add_up() -> None:
    """Each frame is compared with the last analysed one, not with the one before it."""
    gate = MotionGate(max_interval=1e6, hold=0.1)
    frames = [_visitor(300, seed=i, lighter=i) for i in range(60)]
    assert sum(_admitted(gate, frames)[5:]) >= 2


def test_a_person_who_fills_most_of_the_picture_is_motion() -> None:
    gate = MotionGate(max_interval=60.0)
    _admitted(gate, [_room(seed=i) for i in range(10)])
    near = _room(seed=70)
    near[:, 100:600] = picture(5)[:, 100:600]
    assert gate.admit(luma(near), 9.0, awake=False)


@pytest.mark.parametrize("levels", [-12, 9])
def test_flickering_light_is_no_motion(levels: int) -> None:
    gate = MotionGate(max_interval=60.0)
    frames = [
        np.clip(_room(seed=i).astype(np.int16) + (levels if i % 2 else 0), 0, 255).astype(np.uint8)
        for i in range(30)
    ]
    assert not any(_admitted(gate, frames)[8:])


def test_a_moment_in_the_past_opens_the_gate() -> None:
    gate = MotionGate(max_interval=2.0)
    gate.admit(luma(_room()), 1000.0, awake=False)
    assert gate.admit(luma(_room(seed=1)), 3.0, awake=False)
    assert not gate.admit(luma(_room(seed=2)), 4.5, awake=False)


def test_another_picture_size_opens_the_gate() -> None:
    gate = MotionGate(max_interval=60.0)
    gate.admit(luma(_room()), 0.0, awake=False)
    assert gate.admit(luma(cv2.resize(_room(), (320, 180))), 5.0, awake=False)


def _shift(gate: MotionGate, image: np.ndarray, moment: float) -> Point:
    gate.admit(luma(image), moment, awake=True)
    return gate.measure_shift()


@pytest.mark.parametrize(("across", "down"), [(0, 0), (9, 0), (-6, 11)])
def test_the_cameras_shake_is_measured_and_does_not_drift(across: int, down: int) -> None:
    gate = MotionGate()
    shift = _shift(gate, _room(), 0.0)
    for index in range(40):  # a walker crosses meanwhile
        moved = np.roll(_visitor(20 + 12 * index, index), (down, across), axis=(0, 1))
        shift = _shift(gate, moved, 0.2 * (index + 1))
    assert shift.x == pytest.approx(across, abs=2.0)
    assert shift.y == pytest.approx(down, abs=2.0)


def test_the_shift_of_a_turned_camera_is_measured_from_its_new_view() -> None:
    gate = MotionGate()
    _shift(gate, _room(), 0.0)
    elsewhere = _textured(77)
    for index in range(30):
        _shift(gate, elsewhere, 0.2 * (index + 1))
    shift = _shift(gate, np.roll(elsewhere, 8, axis=1), 7.0)
    assert shift.x == pytest.approx(8, abs=2.0)


def test_the_shift_counts_from_the_first_frame_of_a_row_that_is_measured() -> None:
    gate = MotionGate()
    _shift(gate, _textured(77), 0.0)
    gate.admit(luma(_room()), 0.2, awake=True)
    assert _shift(gate, _room(), 0.4) == Point(0.0, 0.0)
    assert _shift(gate, np.roll(_room(), 8, axis=1), 0.6).x == pytest.approx(8, abs=2.0)
