"""Looks cover the picture, and a face has the same box in each of them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from skimage import data

from maskwatch.domain import Box, Detection
from maskwatch.vision.faces import FaceDetector
from maskwatch.vision.looks import Look, around, covering, over, raster
from tests.fakes.vision import face, frame

_SIZE = (1280, 720)


@pytest.mark.parametrize("size", [(1920, 1080), (1280, 720), (640, 360), (360, 640), (200, 100)])
def test_every_place_is_covered_at_every_scale(size: tuple[int, int]) -> None:
    looks = raster(size)
    for scale in {look.scale for look in looks}:
        covered = np.zeros((size[1], size[0]), bool)
        for look in (one for one in looks if one.scale == scale):
            box = look.box
            covered[int(box.y1) : int(box.y2), int(box.x1) : int(box.x2)] = True
        assert covered.all()


@pytest.mark.parametrize("scale", [1, 2])
def test_a_face_of_a_quarter_look_is_whole_in_one_look_of_the_raster(scale: int) -> None:
    looks = [look for look in raster((1920, 1080)) if look.scale == scale]
    for x in range(0, 1800, 37):
        box = Box(x, 333, x + 60 * scale, 333 + 60 * scale)
        assert any(one.box.intersection(box) == box.area for one in looks)


def test_a_part_of_the_picture_is_covered_at_every_scale() -> None:
    area = Box(300, 200, 600, 1000)
    looks = covering(area, (1920, 1080))
    assert {look.scale for look in looks} == {1, 2, 4}
    for scale in (1, 2):
        for y in range(200, 940, 20):
            face_there = Box(420, y, 480, y + 60)
            boxes = [look.box for look in looks if look.scale == scale]
            assert any(box.intersection(face_there) == face_there.area for box in boxes)


@pytest.mark.parametrize("area", [Box(1280, 700, 1400, 900), Box(-90, -90, -10, -10)])
def test_a_part_at_the_pictures_edge_or_beyond_is_looked_at_too(area: Box) -> None:
    pixels = frame(0, 0.0, image=np.zeros((*_SIZE[::-1], 3), np.uint8)).analysed
    for look in covering(area, _SIZE):
        assert look.image(pixels).shape == (look.net[1], look.net[0], 3)


def test_a_native_look_draws_the_box_of_the_whole_picture() -> None:
    head = np.ascontiguousarray(data.astronaut()[0:240, 120:330, ::-1])
    detector = FaceDetector(0.3)
    for height, x in ((90, 333), (140, 901)):
        image = np.full((*_SIZE[::-1], 3), 120, np.uint8)
        small = cv2.resize(head, (height * 210 // 240, height), interpolation=cv2.INTER_AREA)
        image[251 : 251 + height, x : x + small.shape[1]] = small
        (whole,) = (d for d in detector.detect(image) if d.score >= 0.7)
        look = around(whole.box, _SIZE, settled=False)
        assert look.scale == 1
        assert look.net[0] < 384
        found = [
            look.located(d, _SIZE)
            for d in detector.detect(look.image(frame(0, 0.0, image=image).analysed))
        ]
        (part,) = (d for d in found if d is not None and d.score >= 0.7)
        assert part.box.iou(whole.box) > 0.85


def test_a_look_beyond_the_edge_shows_black_there() -> None:
    pixels = frame(0, 0.0, image=np.full((100, 300, 3), 200, np.uint8)).analysed
    image = Look(192, 0).image(pixels)
    assert image.shape == (256, 256, 3)
    assert image[:100, :108].min() == 200
    assert image[100:].max() == image[:, 108:].max() == 0


def test_a_face_at_the_edge_of_a_look_is_left_to_another_one() -> None:
    look = Look(256, 128)
    cut, at_the_pictures_edge = face(10.0, 100.0, 40.0), face(100.0, 2.0, 40.0)
    assert look.located(cut, _SIZE) is None
    assert Look(256, 0).located(at_the_pictures_edge, _SIZE) is not None
    assert look.located(face(100.0, 100.0), _SIZE) == _moved(face(100.0, 100.0), 256, 128)


def _moved(detection: Detection, x: float, y: float) -> Detection:
    return detection.moved(x, y)


def test_the_face_of_a_tall_mover_is_looked_for_at_its_top() -> None:
    blob = Box(600, 120, 760, 700)
    first = next(over(blob, _SIZE))
    assert first.scale == 1
    assert first.shows(Box(660, 140, 700, 190))


def test_a_settled_face_costs_the_smallest_look() -> None:
    for height in (40, 90, 200):
        look = around(Box(600, 200, 600 + height, 200 + height), _SIZE, settled=True)
        assert look.net == (160, 160)
        assert look.shows(Box(600, 200, 600 + height, 200 + height).grown(-0.2))
