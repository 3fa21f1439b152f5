"""The ground truth is written and read back as it was, and a wrong file is refused in words."""

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


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "a.truth.json"
    _truth().save(path)
    assert Truth.load(path) == _truth()


def test_the_truth_lies_beside_its_clip() -> None:
    assert truth_path(Path("clips/hall-0.mp4")) == Path("clips/hall-0.truth.json")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "not a ground truth file"),
        (b'{"name": "a"}', "missing required field"),
        (b"[]", "Expected `object`"),
    ],
)
def test_a_malformed_file_is_refused_with_its_name(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "bad.truth.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=said) as caught:
        Truth.load(path)
    assert "bad.truth.json" in str(caught.value)


def test_an_unknown_key_is_refused_rather_than_ignored(tmp_path: Path) -> None:
    path = tmp_path / "a.truth.json"
    _truth().save(path)
    path.write_bytes(path.read_bytes().replace(b'"seed"', b'"seeds"'))
    with pytest.raises(DataError, match="seed"):
        Truth.load(path)


def test_another_version_is_refused_and_the_remedy_named(tmp_path: Path) -> None:
    path = tmp_path / "a.truth.json"
    _truth().save(path)
    path.write_bytes(path.read_bytes().replace(b'"version":1', b'"version":2'))
    with pytest.raises(DataError, match="render the scene again"):
        Truth.load(path)


def test_a_missing_file_is_an_error_of_the_users(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        Truth.load(tmp_path / "none.truth.json")
