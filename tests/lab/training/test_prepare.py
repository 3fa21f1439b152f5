"""Which pictures are trained on, and which are excluded."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage import data

from maskwatch.errors import DataError
from maskwatch.lab.training.dataset import Photo, load_scenes
from maskwatch.lab.training.prepare import prepare, with_faces
from maskwatch.lab.training.settings import Settings
from maskwatch.lab.training.slices import made
from tests.fakes.training_data import picture, write_csv


def settings(*folders: Path, **more: object) -> Settings:
    """Return settings with a validation side large enough for a few pictures."""
    return Settings(data=tuple(map(str, folders)), validation=0.3, **more)  # type: ignore[arg-type]


def quiet(_: str) -> None:
    """Ignore a progress line."""


def test_a_copy_of_a_held_out_picture_is_not_trained_on(faces: Callable[..., Path]) -> None:
    """Copies of held-out photographs in other sources are excluded."""
    home, abroad = (
        faces("home", with_mask=12, without_mask=12),
        faces("abroad", with_mask=1, without_mask=1),
    )
    for i, label in enumerate(("with_mask", "without_mask")):
        picture = np.random.default_rng(i).integers(0, 256, (5, 5, 3), np.uint8)
        picture = cv2.resize(picture, (64, 64), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(abroad / label / "000.png"), picture)
        cv2.imwrite(str(home / label / "copy.jpg"), picture[:, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 60])
    prepared = prepare(settings(home, abroad, hold_out=("abroad",)), quiet)
    learnt = {photo.name for photo in (*prepared.train, *prepared.validation)}
    assert len(prepared.held_out) == 2
    assert len(learnt) >= 20
    assert not [name for name in learnt if "copy" in name]
    assert prepared.leaks >= 2


def test_a_copy_of_a_test_picture_is_not_trained_on(faces: Callable[..., Path]) -> None:
    """No list of leaks is necessary."""
    folder = faces(with_mask=12, without_mask=12)
    write_csv(folder / "split.csv", [{"path": "with_mask/000.png", "split": "test"}])
    copy = cv2.imread(str(folder / "with_mask/000.png"))
    cv2.imwrite(str(folder / "with_mask/copy.jpg"), copy)
    prepared = prepare(settings(folder), quiet)
    assert [photo.name for photo in prepared.test] == ["faces/with_mask/000.png"]
    assert not [p.name for p in (*prepared.train, *prepared.validation) if "copy" in p.name]


def test_a_listed_leak_is_excluded_from_any_working_directory(
    faces: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where data and list are given relative to the data folder; a list of others is refused."""
    folder = faces(with_mask=12, without_mask=12)
    rows = [{"test_path": "with_mask/000.png", "train_path": "with_mask/001.png"}]
    write_csv(folder / "leaks.csv", rows)
    monkeypatch.chdir(folder)
    prepared = prepare(settings(Path("../faces"), leaks=("leaks.csv",)), quiet)
    learnt = {photo.name for photo in (*prepared.train, *prepared.validation)}
    assert "faces/with_mask/001.png" not in learnt
    assert "faces/with_mask/002.png" in learnt
    write_csv(folder / "leaks.csv", [{"test_path": "a.png", "train_path": "b.png"}])
    with pytest.raises(DataError, match="its train_path names none of the 24 pictures"):
        prepare(settings(folder, leaks=(str(folder / "leaks.csv"),)), quiet)


@pytest.fixture
def street(tmp_path: Path) -> tuple[Path, Path]:
    """Twelve boxed photographs, a masked and a bare face in each, and a folder of crops cut from them.

    As in the wild, the crops name their photographs by a longer path, and with another suffix.
    """
    (tmp_path / "street/images").mkdir(parents=True)
    images, rows = [], []
    for i in range(12):
        rng = np.random.default_rng(i)
        scene = cv2.resize(rng.integers(0, 256, (7, 9, 3), np.uint8), (200, 120))
        boxes = {"with_mask": [24, 14, 64, 56], "without_mask": [122, 42, 150, 70]}
        for label, (x1, y1, x2, y2) in boxes.items():
            scene[y1:y2, x1:x2] = cv2.resize(picture(label, i), (x2 - x1, y2 - y1))
            path = f"{label}/{i}.png"
            (tmp_path / "cut" / label).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "cut" / path), scene[y1:y2, x1:x2])
            rows.append({"path": path, "source": "web", "original": f"web/set/images/{i}.jpeg"})
        cv2.imwrite(str(tmp_path / f"street/images/{i}.png"), scene)
        images.append(
            {
                "file": f"images/{i}.png", "width": 200, "height": 120,
                "boxes": list(boxes.values()), "classes": list(boxes),
            }
        )  # fmt: skip
    write_csv(tmp_path / "cut/manifest.csv", rows)
    (tmp_path / "street/annotations.json").write_text(json.dumps({"images": images}))
    return tmp_path / "cut", tmp_path / "street/annotations.json"


def photographs(photos: Sequence[Photo]) -> set[str]:
    """Return the numbers of the photographs of the street that these faces were cut from."""
    return {Path(photo.group).stem for photo in photos}


@pytest.mark.parametrize("seed", range(3))
def test_a_crop_is_on_the_side_of_its_photograph(street: tuple[Path, Path], seed: int) -> None:
    """manifest.csv names its original, since their hashes differ."""
    prepared = prepare(settings(street[0], scenes=(str(street[1]),), seed=seed), quiet)
    assert len(prepared.train) + len(prepared.validation) == 48
    assert photographs(prepared.train).isdisjoint(photographs(prepared.validation))


def test_a_crop_of_a_held_out_photograph_is_not_trained_on(street: tuple[Path, Path]) -> None:
    """The crop's source is not the held-out one."""
    only = json.loads(street[1].read_text())
    only["images"] = only["images"][:4]
    street[1].write_text(json.dumps(only))
    prepared = prepare(settings(street[0], scenes=(str(street[1]),), hold_out=("street",)), quiet)
    assert photographs(prepared.held_out) == {"0", "1", "2", "3"}
    assert photographs((*prepared.train, *prepared.validation)) == {str(i) for i in range(4, 12)}
    assert prepared.leaks == 8


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    """Annotations of one photograph: two people side by side, and a boxed wall."""
    person = data.astronaut()[:256, 100:356, ::-1]
    cv2.imwrite(str(tmp_path / "two.png"), np.hstack([person, person[:, ::-1]]))
    boxes = [[65, 70, 180, 200], [332, 70, 447, 200], [0, 0, 50, 50]]
    row = {
        "file": "two.png", "width": 512, "height": 256, "boxes": boxes, "classes": ["without_mask"] * 3
    }  # fmt: skip
    (tmp_path / "annotations.json").write_text(json.dumps({"images": [row]}))
    return tmp_path / "annotations.json"


def test_only_the_face_in_a_box_is_found(portrait: Path) -> None:
    """A neighbour in the same picture is not used, and a wall has no face."""
    photos = with_faces(load_scenes(portrait).photos, boxed=True)
    for photo in photos[:2]:
        assert photo.face is not None
        assert photo.box is not None
        nose, middle = photo.face.landmarks[2], photo.box.centre
        assert abs(nose.x - middle.x) < photo.box.width / 4
        assert abs(nose.y - middle.y) < photo.box.height / 4
    assert photos[2].face is None


def test_hands_and_beards_can_be_painted_onto_boxed_faces(portrait: Path) -> None:
    """The slices of whole photographs are those of crops; training looks for no boxed face."""
    photos = load_scenes(portrait).photos
    painted = made(with_faces(photos, boxed=True))
    assert {name: len(rows) for name, rows in painted.items() if "painted" in name} == {
        f"{name} (painted)": 2 for name in ("beard", "hand", "scarf", "glasses")
    }
    assert [photo.face for photo in with_faces(photos)] == [None] * 3


def test_a_missing_class_is_reported_before_training(faces: Callable[..., Path]) -> None:
    """The class may be missing because of --drop."""
    rest = faces("rest", with_mask=4, mask_worn_incorrectly=4)
    bare = faces("bare", without_mask=4)
    with pytest.raises(DataError, match="no pictures of without_mask"):
        prepare(settings(rest), quiet)
    with pytest.raises(DataError, match="no pictures of without_mask"):
        prepare(settings(rest, bare, drop=("bare",)), quiet)


def test_an_unknown_source_is_named(faces: Callable[..., Path]) -> None:
    """The message lists the existing sources."""
    folder = faces(with_mask=3, without_mask=3)
    with pytest.raises(DataError, match="web: no such source; there are faces"):
        prepare(settings(folder, drop=("web",)), quiet)
