"""Every file of a folder of crops is a picture of its class, or is reported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from maskwatch.errors import DataError
from maskwatch.lab.training.layout import class_files


def test_pictures_go_by_their_suffix_in_either_case(faces: Callable[..., Path]) -> None:
    """Suffixes are case-insensitive."""
    folder = faces(with_mask=1, without_mask=1)
    for name in ("a.JPG", "b.jpeg", "c.webp", "d.bmp"):
        (folder / "without_mask" / name).touch()
    files, others = class_files(folder)
    assert [(label, path.name) for label, path in files] == [
        (0, "000.png"), (1, "000.png"), (1, "a.JPG"), (1, "b.jpeg"), (1, "c.webp"), (1, "d.bmp")
    ]  # fmt: skip
    assert others == []


def test_ignored_files_are_reported_with_the_reason(faces: Callable[..., Path]) -> None:
    """Other formats, folders within a class, pictures in no class; but not tables and hidden files."""
    folder = faces(with_mask=1)
    (folder / "with_mask/more").mkdir()
    for name in (
        "with_mask/a.gif",
        "with_mask/b",
        "with_mask/.DS_Store",
        "c.png",
        "split.csv",
        "notes.txt",
    ):
        (folder / name).touch()
    said = class_files(folder)[1]
    assert [text.removeprefix(f"{folder}/").split(";")[0] for text in said] == [
        "c.png: in no class",
        "with_mask/a.gif: not a picture by its suffix",
        "with_mask/b: not a picture by its suffix",
        "with_mask/more: a folder within a class",
    ]


@pytest.mark.parametrize("kind", ["file", "loop", "nowhere"])
def test_a_class_that_is_not_a_folder_is_an_error(faces: Callable[..., Path], kind: str) -> None:
    """If ignored, the class would never be predicted."""
    folder = faces(with_mask=1)
    path = folder / "without_mask"
    if kind == "file":
        path.touch()
    else:
        path.symlink_to("without_mask" if kind == "loop" else "elsewhere")
    with pytest.raises(DataError, match="without_mask: a class, but not a folder"):
        class_files(folder)


def test_unknown_class_folders_are_named(faces: Callable[..., Path]) -> None:
    """The message names all of them."""
    folder = faces(with_mask=1, without_mask=1)
    (folder / "masked").mkdir()
    (folder / "other").mkdir()
    with pytest.raises(DataError, match="not a class: masked, other"):
        class_files(folder)


def test_an_empty_class_is_an_error(faces: Callable[..., Path]) -> None:
    """The class would never be predicted."""
    folder = faces(with_mask=1)
    (folder / "without_mask").mkdir()
    with pytest.raises(DataError, match="without_mask: the class is empty"):
        class_files(folder)


def test_a_folder_without_pictures_is_an_error(tmp_path: Path) -> None:
    """A missing folder is an error too."""
    with pytest.raises(DataError, match="no pictures"):
        class_files(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        class_files(tmp_path / "none")
