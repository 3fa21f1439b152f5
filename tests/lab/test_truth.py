"""The ground truth is read back as it was written, and an invalid file is refused with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from maskwatch.errors import DataError
from maskwatch.lab.truth import (
    Fake,
    PersonFrame,
    Truth,
    TruthFrame,
    Visit,
    Wear,
    truth_path,
)


def _truth() -> Truth:
    person = PersonFrame(
        visit=0,
        face=(1.0, 2.0, 41.0, 52.0),
        body=(0.0, 0.0, 100.0, 300.0),
        mask=Wear.BARE,
        visible=1.0,
        yaw=-3.5,
    )
    return Truth(
        name="a",
        kind="lone_bare",
        seed=3,
        size=(640, 360),
        rate=10.0,
        seconds=0.2,
        visits=(Visit(person="p", portrait="x", style=""),),
        frames=(TruthFrame(at=0.0, people=(person,)), TruthFrame(at=0.1, people=(), damaged=True)),
        fakes=(Fake(kind="poster", box=(0, 0, 9, 9), mask=Wear.MASKED),),
        ignore=(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0)),),
    )


def test_a_saved_truth_is_loaded_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "a.truth.json"
    _truth().save(path)
    assert Truth.load(path) == _truth()


def test_the_truth_lies_beside_its_clip() -> None:
    assert truth_path(Path("clips/hall-0.mp4")) == Path("clips/hall-0.truth.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "not a ground truth file"),
        (b'{"name": "a"}', "missing required field"),
        (b"[]", "Expected `object`"),
    ],
)
def test_a_malformed_file_is_refused_with_its_name(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "bad.truth.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        Truth.load(path)
    assert "bad.truth.json" in str(caught.value)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        (b'"seed"', b'"seeds"', "seed"),
        (b'"version":1', b'"version":2', "render the scene again"),
    ],
)
def test_an_unknown_key_and_another_version_are_refused(
    tmp_path: Path, before: bytes, after: bytes, message: str
) -> None:
    path = tmp_path / "a.truth.json"
    _truth().save(path)
    path.write_bytes(path.read_bytes().replace(before, after))
    with pytest.raises(DataError, match=message):
        Truth.load(path)


def test_a_missing_file_is_a_data_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        Truth.load(tmp_path / "none.truth.json")
