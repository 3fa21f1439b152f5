"""The search in regions finds what a search of the whole picture finds, and looks everywhere in time."""

from __future__ import annotations

import functools

import cv2
import numpy as np
import pytest
from skimage import data

from maskwatch.domain import Box, Detection, Frame
from maskwatch.vision.attention import MAX_WAIT, KnownFace, RegionSearch
from maskwatch.vision.faces import FaceDetector
from maskwatch.vision.looks import Look
from tests.fakes.vision import frame

_SIZE = (1280, 720)


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """The head of the astronaut, uint8 BGR."""
    return np.ascontiguousarray(data.astronaut()[0:240, 120:330, ::-1])


@functools.lru_cache(maxsize=8)
def _room(seed: int = 0) -> np.ndarray:
    blobs = np.random.default_rng(5).integers(90, 160, (9, 16, 3), dtype=np.uint8)
    wall = cv2.resize(blobs, _SIZE, interpolation=cv2.INTER_CUBIC)
    grain = np.random.default_rng(seed).normal(0, 2.0, (_SIZE[1], _SIZE[0], 1))
    return np.clip(wall + grain, 0, 255).astype(np.uint8)


def _visitors(portrait: np.ndarray, number: int) -> Frame:
    """Two heads, of some 45 and 110 px, that walk through the room from the left and from the right."""
    image = _room(number).copy()
    for height, x, y in ((90, 60 + 24 * number, 200), (220, 1000 - 30 * number, 380)):
        head = cv2.resize(portrait, (height * 210 // 240, height), interpolation=cv2.INTER_AREA)
        image[y : y + height, x : x + head.shape[1]] = head
    return frame(number, number / 5, image=image)


class _Recorded(RegionSearch):
    """Records where it looks instead of looking."""

    def __init__(self) -> None:
        super().__init__(0.3)
        self.seen: list[Look] = []

    def _run(self, frame: Frame, look: Look) -> list[Detection]:  # noqa: ARG002
        self.seen.append(look)
        return []


def test_faces_are_found_as_in_the_whole_picture(portrait: np.ndarray) -> None:
    """At least 0.97 of those that the whole picture scores 0.7, while they walk."""
    search, oracle = RegionSearch(0.3), FaceDetector(0.3)
    known: list[KnownFace] = []
    found_of: list[bool] = []
    for number in range(16):
        shown = _visitors(portrait, number)
        found = search.find(shown, known)
        sure = [d for d in oracle.detect(shown.image) if d.score >= 0.7]
        assert len(sure) == 2
        found_of += [any(d.box.iou(one.box) > 0.4 for d in found) for one in sure]
        known = [KnownFace(d.box, settled=number > 8) for d in found if d.score >= 0.6]
    assert sum(found_of) / len(found_of) >= 0.97


def test_two_runs_give_the_same_detections(portrait: np.ndarray) -> None:
    runs = []
    for _ in range(2):
        search = RegionSearch(0.3)
        runs.append([search.find(_visitors(portrait, number), ()) for number in range(4)])
    assert runs[0] == runs[1]


@pytest.mark.parametrize("interval", [0.2, 2.0], ids=["every frame", "gated"])
def test_no_place_waits_longer_than_the_bound_for_a_look(interval: float) -> None:
    search = _Recorded()
    looked = np.zeros((_SIZE[1] // 8, _SIZE[0] // 8))
    longest = 0.0
    for number in range(int(40 / interval)):
        moment = number * interval
        search.seen.clear()
        search.find(frame(number, moment, image=_room(number % 3)), ())
        for look in search.seen:
            looked[look.cells] = moment
        longest = max(longest, moment - looked.min())
    assert longest <= MAX_WAIT


def test_an_empty_room_costs_few_looks() -> None:
    """The whole picture at every scale at first; then at most two and a half looks a second."""
    search = _Recorded()
    search.find(frame(0, 0.0, image=_room()), ())
    begun = len(search.seen)
    for number in range(1, 101):
        search.find(frame(number, number / 5, image=_room(number % 3)), ())
    assert len(search.seen) - begun <= 50


def test_a_face_that_no_look_covered_is_found_in_the_area_that_is_shown(portrait: np.ndarray) -> None:
    shown = _visitors(portrait, 3)
    whole = FaceDetector(0.3).detect(shown.image)
    for one in whole:
        found = RegionSearch(0.3).find_in(shown, [one.box.grown(1.0)])
        assert any(d.box.iou(one.box) > 0.4 for d in found)


def test_a_gap_makes_it_look_everywhere_again() -> None:
    search = _Recorded()
    search.find(frame(0, 0.0, image=_room()), ())
    begun = len(search.seen)
    search.find(frame(1, 60.0, image=_room()), ())
    assert len(search.seen) == 2 * begun


def test_a_poster_is_looked_at_when_something_moves_there_and_each_second() -> None:
    search = _Recorded()
    search.find(frame(0, 0.0, image=_room()), ())
    box = Box(600, 200, 640, 250)
    poster = KnownFace(box, still=True, unseen=0.2)

    def looked(number: int, known: KnownFace, image: np.ndarray) -> bool:
        search.seen.clear()
        search.find(frame(number, number / 5, image=image), (known,))
        return any(look.net == (160, 160) and look.shows(box) for look in search.seen)

    assert not any(looked(number, poster, _room(number)) for number in range(1, 5))
    assert looked(5, poster._replace(unseen=1.0), _room(5))
    hidden = _room(6).copy()
    hidden[180:300, 590:660] = 20
    assert looked(6, poster, hidden)


def test_faces_side_by_side_share_a_look() -> None:
    search = _Recorded()
    search.find(frame(0, 0.0, image=_room()), ())
    search.seen.clear()
    pair = [
        KnownFace(Box(x, 200, x + 40, 250), settled=True, still=True, unseen=1.0) for x in (600, 636)
    ]
    search.find(frame(1, 0.2, image=_room(1)), pair)
    assert len([look for look in search.seen if look.net == (160, 160)]) == 1


def test_a_face_that_is_not_found_is_looked_for_around() -> None:
    search = _Recorded()
    search.find(frame(0, 0.0, image=_room()), ())
    search.seen.clear()
    search.find(frame(1, 0.2, image=_room(1)), [KnownFace(Box(600, 200, 640, 250), unseen=0.2)])
    assert [look.net[0] for look in search.seen][:2] == [160, 256]
