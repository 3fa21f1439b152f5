"""Annotations are of the photographs beside them, and their boxes hold faces, or it is said."""

from __future__ import annotations

import json
import math
import struct
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.domain import Box
from maskwatch.errors import DataError
from maskwatch.lab.training.dataset import load_scenes
from maskwatch.lab.training.scenes import read_scenes
from maskwatch.lab.training.wholepath import look
from maskwatch.vision.masks import MaskClassifier


def change(annotations: Path, **values: object) -> Path:
    """Change what is said of the first photograph."""
    content = json.loads(annotations.read_text())
    content["images"][0].update(values)
    annotations.write_text(json.dumps(content))
    return annotations


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"classes": ["with_mask"]}, "2 boxes but 1 classes"),
        ({"classes": ["with_mask", "beard"]}, "unknown class 'beard'"),
        ({"boxes": "none"}, "not an annotations file"),
        ({"width": 0}, "not an annotations file: .*width"),
        ({"height": -120}, "not an annotations file: .*height"),
    ],
)
def test_wrong_annotations_are_refused(hall: Path, values: dict[str, object], message: str) -> None:
    """The error names the file and what is wrong in it."""
    with pytest.raises(DataError, match=f"{hall.name}: .*{message}"):
        read_scenes(change(hall, **values))


def test_annotations_that_are_not_there_are_refused(tmp_path: Path) -> None:
    """With the reason."""
    with pytest.raises(DataError, match="cannot read the annotations: No such file"):
        read_scenes(tmp_path / "annotations.json")


@pytest.mark.parametrize(
    "box",
    [
        [60, 10, 20, 50],
        [20, 50, 60, 10],
        [20, 10, 20, 50],
        [200, 10, 240, 50],
        [20, -50, 60, 0],
        [1e9, 1e9, 1e18, 1e18],
    ],
    ids=["inverted", "upside down", "empty", "right of it", "above it", "far away"],
)
def test_a_box_that_holds_no_pixel_is_refused(hall: Path, box: list[float]) -> None:
    """It would be counted as a face; the error names photograph, box and the room there is."""
    message = r"images/0.png: box 2 is \[.*\]; expected .* in the 200 x 120 px"
    with pytest.raises(DataError, match=message):
        read_scenes(change(hall, boxes=[[24, 14, 64, 56], box]))


def test_a_box_reaches_no_further_than_its_photograph(hall: Path) -> None:
    """However far it is said to: the face is what can be seen of it."""
    first = read_scenes(change(hall, boxes=[[-1e5, -1e5, 1e5, 1e5], [150, 70, 1e18, 1e18]]))[0]
    assert first.boxes == (Box(0, 0, 200, 120), Box(150, 70, 200, 120))
    assert [photo.height for photo in load_scenes(hall).photos[:2]] == [120, 50]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=4, max_size=4))
def test_any_box_becomes_a_face_inside_the_picture_or_is_refused(box: list[float]) -> None:
    """Never a picture of nothing, and never more of one than there is."""
    with tempfile.TemporaryDirectory() as folder:
        cv2.imwrite(f"{folder}/a.png", np.zeros((20, 30, 3), np.uint8))
        row = {"file": "a.png", "width": 30, "height": 20, "boxes": [box], "classes": ["with_mask"]}
        path = Path(folder, "annotations.json")
        path.write_text(json.dumps({"images": [row]}))
        try:
            (photo,) = load_scenes(path).photos
        except DataError as error:
            assert "box 1 is" in str(error)  # noqa: PT017 - refusing is one of two right answers
        else:
            assert 1 <= photo.image.shape[0] <= 20
            assert 1 <= photo.image.shape[1] <= 30
            assert photo.box is not None
            assert 0 < photo.height <= 20
            assert math.isfinite(photo.box.area)


def test_a_photograph_of_another_size_is_named_and_skipped(hall: Path) -> None:
    """Its boxes lie elsewhere: neither a face to learn nor one to find."""
    path = hall.parent / "images/0.png"
    said = f"{path}: 200 x 120 px, annotated as 400 x 240: scaled, or turned by its EXIF; the boxes lie"
    change(hall, width=400, height=240)
    data = load_scenes(hall)
    assert len(data.photos) == 2
    assert [text[: len(said)] for text in data.unreadable] == [said]
    rows, unreadable = look(read_scenes(hall), MaskClassifier())
    assert unreadable == list(data.unreadable)
    assert {row.scene for row in rows} == {1}


def test_a_photograph_that_its_camera_laid_on_its_side_is_named(hall: Path) -> None:
    """Annotated as it lies in the file, and shown as its EXIF says."""
    jpeg = cv2.imencode(".jpg", cv2.imread(str(hall.parent / "images/0.png")))[1].tobytes()
    turned = struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 0x112, 3, 1, 6, 0, 0)
    exif = b"Exif\0\0" + turned
    mark = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    (hall.parent / "images/0.jpg").write_bytes(jpeg[:2] + mark + jpeg[2:])
    (said,) = load_scenes(change(hall, file="images/0.jpg")).unreadable
    assert "120 x 200 px, annotated as 200 x 120" in said


def test_scenes_have_the_name_of_their_folder_from_wherever_it_is_named(
    hall: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not an empty one, which no --hold-out could choose."""
    monkeypatch.chdir(hall.parent)
    photo = load_scenes(Path("annotations.json")).photos[0]
    assert (photo.source, photo.name) == ("hall", "hall/images/0.png#0")
