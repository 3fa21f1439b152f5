"""The file of expected events is read with clear errors."""

from __future__ import annotations

import json
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest

from maskwatch.domain import Box
from maskwatch.errors import UsageError
from maskwatch.lab.evaluation.real_clips import ExpectedPerson, read_expected
from maskwatch.lab.evaluation.real_run import choose_clips
from tests.fakes.expected_clips import expected_clip, expected_person


def _write(folder: Path, *people: dict[str, Any], name: str = "door.mp4") -> Path:
    text = json.dumps({"about": "notes", "clips": {name: {"width": 640, "people": people}}})
    (folder / "expected.json").write_text(text)
    return folder


def _person(**changes: Any) -> ExpectedPerson:
    return expected_clip(expected_person(**changes)).people[0]


@pytest.mark.shared
def test_the_shared_expected_file_is_read(shared_data: Path) -> None:
    assert len(read_expected(shared_data / "videos")) == 29


def test_a_box_between_two_times_is_interpolated() -> None:
    person = _person()
    assert astuple(person.box_at(5)) == pytest.approx((0.45, 0.4, 0.55, 0.6))
    assert person.box_at(-1) == Box(0.4, 0.4, 0.5, 0.6)
    assert person.box_at(11) == Box(0.5, 0.4, 0.6, 0.6)


def test_masked_throughout_needs_one_span_that_covers_the_lag() -> None:
    person = _person(mask=[[2, 5, "masked"], [5, 9, "bare"]])
    assert person.masked_throughout(4.5, 2.0)
    assert person.masked_throughout(3.0, 2.0)  # nothing is known of the time before
    assert not person.masked_throughout(6.0, 2.0)
    assert not _person(mask=[]).masked_throughout(4.5, 2.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rule": "requird"}, "requird.*people"),
        ({"boxes": []}, "no boxes"),
        ({"boxes": [[2, 0, 0, 1, 1], [1, 0, 0, 1, 1]]}, "order"),
        ({"judgeable_from": None}, "judgeable_from"),
        ({"mask": [[0, 1, "off"]]}, "off"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_place(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        read_expected(_write(tmp_path, expected_person(**changes)))


def test_two_people_of_one_id_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="several people have the id 'a'"):
        read_expected(_write(tmp_path, expected_person(), expected_person()))


def test_a_clip_outside_the_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'\.\./door\.mp4' is not the name of a file"):
        read_expected(_write(tmp_path, name="../door.mp4"))


def test_a_folder_without_the_file_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"expected\.json: cannot be read.*docs/real-clips\.md"):
        read_expected(tmp_path)


def test_an_unknown_clip_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    clips = read_expected(_write(tmp_path, expected_person()))
    with pytest.raises(UsageError, match=r"no clip 'x\.mp4'; it has door\.mp4"):
        choose_clips(tmp_path, clips, ["x.mp4"])
    with pytest.raises(UsageError, match="none of the 1 clips"):
        choose_clips(tmp_path, clips, [])
