"""Folders and annotations are loaded, or an error names the reason."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from maskwatch.errors import DataError
from maskwatch.lab.training.dataset import Dataset, load_crops, load_scenes
from tests.fakes.training_data import write_csv


def test_each_sub_folder_is_a_class(faces: Callable[..., Path]) -> None:
    """Label, name and source come from a picture's path."""
    data = load_crops(faces(with_mask=2, without_mask=3))
    assert data.counts() == {"with_mask": 2, "without_mask": 3}
    assert data.photos[0].name == "faces/with_mask/000.png"
    assert {p.source for p in data.photos} == {"faces"}
    assert {p.split for p in data.photos} == {"train"}


def test_a_folders_name_does_not_depend_on_the_working_directory(
    faces: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty name could not be chosen with --source."""
    monkeypatch.chdir(faces(with_mask=1) / "with_mask")
    photo = load_crops(Path("..")).photos[0]
    assert (photo.source, photo.name) == ("faces", "faces/with_mask/000.png")


def test_a_manifest_names_sources_and_a_split_keeps_test_pictures(faces: Callable[..., Path]) -> None:
    """Both files are optional and name pictures by path."""
    folder = faces(with_mask=2, without_mask=1)
    write_csv(folder / "manifest.csv", [{"path": "with_mask/000.png", "source": "web"}])
    write_csv(
        folder / "split.csv", [{"path": "with_mask/001.png", "label": "with_mask", "split": "test"}]
    )
    data = load_crops(folder)
    assert [p.source for p in data.photos] == ["web", "faces", "faces"]
    assert [p.split for p in data.photos] == ["train", "test", "train"]


def test_missing_pictures_of_a_split_are_reported(faces: Callable[..., Path]) -> None:
    """Their names may be mistyped, and the intended pictures would be trained on."""
    folder = faces(with_mask=2)
    rows = [{"path": f"with_mask/{name}.png", "split": "test"} for name in ("000", "01", "001")]
    write_csv(folder / "split.csv", rows)
    said = f"{folder / 'split.csv'}: 1 of its pictures do not exist, first with_mask/01.png"
    assert load_crops(folder).unreadable == (said,)


def test_an_unreadable_picture_is_named_and_skipped(faces: Callable[..., Path]) -> None:
    """The other pictures are used."""
    folder = faces(with_mask=2, without_mask=1)
    (folder / "with_mask/zzz.jpg").write_bytes(b"not a picture")
    data = load_crops(folder)
    assert len(data.photos) == 3
    zzz = folder / "with_mask/zzz.jpg"
    assert data.unreadable == (f"{zzz}: not a picture, or truncated",)


def test_a_folder_of_broken_pictures_only_is_an_error(tmp_path: Path) -> None:
    """Nothing could be trained."""
    (tmp_path / "with_mask").mkdir()
    (tmp_path / "with_mask/a.jpg").write_bytes(b"x")
    with pytest.raises(DataError, match="none of its 1 pictures can be read"):
        load_crops(tmp_path)


def test_other_files_are_reported_with_the_unreadable(faces: Callable[..., Path]) -> None:
    """The report shows that files were ignored."""
    folder = faces(with_mask=1)
    (folder / "with_mask/a.gif").write_bytes(b"GIF89a")
    data = load_crops(folder)
    assert len(data.photos) == 1
    assert [text.split(":")[0] for text in data.unreadable] == [str(folder / "with_mask/a.gif")]


def test_imbalance_beyond_twenty_to_one_is_an_error(faces: Callable[..., Path]) -> None:
    """Twenty to one is still accepted."""
    twenty = load_crops(faces("a", with_mask=20, without_mask=1))
    twenty.check()
    more = load_crops(faces("b", with_mask=21, without_mask=1))
    with pytest.raises(DataError, match="21 pictures of with_mask against 1 of without_mask"):
        more.check()


@pytest.mark.parametrize("lacking", ["with_mask", "without_mask"])
def test_faces_with_and_without_a_mask_are_required(faces: Callable[..., Path], lacking: str) -> None:
    """Masks worn incorrectly replace neither class."""
    other = {"with_mask": "without_mask", "without_mask": "with_mask"}[lacking]
    said = f"no pictures of {lacking} to train on; .* found: 2 of mask_worn_incorrectly, 3 of {other}"
    with pytest.raises(DataError, match=said):
        load_crops(faces(mask_worn_incorrectly=2, **{other: 3})).check()
    with pytest.raises(DataError, match=f"no pictures of {lacking} to train on; .* found: 3 of {other}"):
        load_crops(faces("one", **{other: 3})).check()
    with pytest.raises(DataError, match="found: none"):
        Dataset(()).check()
    load_crops(faces("both", **{lacking: 2, other: 3})).check()


def test_faces_of_scenes_keep_their_surroundings(hall: Path) -> None:
    """The box is inside a larger picture, at the right place, and one photograph is one group."""
    data = load_scenes(hall)
    assert data.counts() == {"with_mask": 2, "without_mask": 2}
    first = data.photos[0]
    assert first.box is not None
    assert first.image.shape[0] > first.box.height + 10
    assert first.height == 42
    assert first.group == data.photos[1].group != data.photos[2].group
    inside = first.image[round(first.box.y1) + 30, round(first.box.x1) + 20]
    assert inside.tolist() == [230, 180, 40]


def test_annotations_without_images_are_refused(hall: Path) -> None:
    """Unreadable photographs are named; if all are, that is an error."""
    (hall.parent / "images/0.png").unlink()
    gone = hall.parent / "images/0.png"
    assert load_scenes(hall).unreadable == (f"{gone}: No such file or directory",)
    (hall.parent / "images/1.png").unlink()
    with pytest.raises(DataError, match="none of its images can be read"):
        load_scenes(hall)
