"""Rows of tables are used, or an error names the wrong line."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskwatch.errors import DataError
from maskwatch.lab.training.tables import Origin, read_leaks, read_origins, read_split
from tests.fakes.training_data import write_csv

PICTURES = frozenset({"with_mask/a.png", "with_mask/b.png"})


def split(tmp_path: Path, content: bytes) -> dict[str, str]:
    """Return the sides of PICTURES in a split.csv of these bytes."""
    path = tmp_path / "split.csv"
    path.write_bytes(content)
    return read_split(path, PICTURES)


def test_a_split_saved_by_a_spreadsheet_is_read(tmp_path: Path) -> None:
    """A byte order mark, Windows line ends and any order of columns are accepted."""
    content = b"\xef\xbb\xbfpath,note,split\r\nwith_mask/a.png,,test\r\nwith_mask/b.png,x,train\r\n"
    assert split(tmp_path, content) == {"with_mask/a.png": "test", "with_mask/b.png": "train"}
    assert split(tmp_path, b"split,path\ntest,with_mask/a.png\n") == {"with_mask/a.png": "test"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"path;split\nwith_mask/a.png;test\n", "column 'path' is missing; .* found 'path;split'"),
        (b"path, split\nwith_mask/a.png, test\n", "column 'split' is missing; .* found 'path, split'"),
        (b"with_mask/a.png,test\n", "column 'path' is missing; expected a first line with path,split"),
        (b"", "column 'path' is missing"),
        (b"path,split\nwith_mask/b.png,train\nwith_mask/a.png,Test\n", "line 3: .*: split is 'Test'"),
        (b"path,split\nwith_mask/a.png,val\n", "split is 'val'; expected train or test"),
        (b"path,split\nwith_mask/a.png\n", "line 2: with_mask/a.png: split is ''"),
        (b"path,split\nfaces/with_mask/a.png,test\n", "no row names a picture .*, found 'faces"),
        (b"path,split\nwith_mask/a.png,test\nwith_mask/a.png,train\n", "line 3: .* in train and in"),
        (b"path,split\n\xe9.png,test\n", "not a table in CSV"),
    ],
)  # fmt: skip
def test_a_malformed_split_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """If ignored, its test pictures would be trained on."""
    with pytest.raises(DataError, match=message):
        split(tmp_path, content)


def test_an_unreadable_split_is_refused(tmp_path: Path) -> None:
    """A dangling link differs from a missing table."""
    (tmp_path / "split.csv").symlink_to("elsewhere.csv")
    with pytest.raises(DataError, match=r"split.csv: cannot be read: No such file"):
        read_split(tmp_path / "split.csv", PICTURES)
    assert read_split(tmp_path / "other.csv", PICTURES) == {}


def test_a_picture_without_a_source_is_named(tmp_path: Path) -> None:
    """Whether the row is short or the value is empty; a manifest without the column gives none."""
    path = tmp_path / "manifest.csv"
    for row in ("with_mask/a.png", "with_mask/a.png,"):
        path.write_text(f"path,source\nwith_mask/b.png,web\n{row}\n")
        with pytest.raises(DataError, match=r"line 3: with_mask/a.png has no source"):
            read_origins(path, PICTURES)
    path.write_text("path,original\nwith_mask/a.png,hall/7.png\n")
    assert read_origins(path, PICTURES) == {"with_mask/a.png": Origin("", "hall/7.png")}


def test_a_manifest_of_other_pictures_is_refused(tmp_path: Path) -> None:
    """Its sources would have no effect."""
    path = write_csv(tmp_path / "manifest.csv", [{"path": "a.png", "source": "web"}])
    with pytest.raises(DataError, match=r"expected paths such as with_mask/a.png, found 'a.png'"):
        read_origins(path, PICTURES)


def test_a_list_of_leaks_requires_its_columns(tmp_path: Path) -> None:
    """Test and training column are distinct."""
    path = write_csv(tmp_path / "leaks.csv", [{"test_path": "a", "train_path": "b"}])
    files = frozenset({str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "c")})
    assert read_leaks(path, "test_path", files) == {str(tmp_path / "a")}
    assert read_leaks(path, "train_path", files) == {str(tmp_path / "b")}
    write_csv(path, [{"path": "a"}])
    with pytest.raises(DataError, match=r"'test_path' is missing; .*, found 'path'"):
        read_leaks(path, "test_path", files)


def test_a_list_of_leaks_that_names_no_picture_is_refused(tmp_path: Path) -> None:
    """It would exclude nothing, and the figure would seem free of leaks."""
    path = write_csv(tmp_path / "leaks.csv", [{"test_path": "paper/a", "train_path": "b"}])
    with pytest.raises(DataError, match=r"leaks.csv: its test_path names none of the 1 pictures"):
        read_leaks(path, "test_path", frozenset({str(tmp_path / "a")}))
