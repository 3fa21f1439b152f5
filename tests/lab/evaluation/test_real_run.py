"""`evaluate --events --real` replays clips, explains misses and draws strips."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import pytest
from click.testing import CliRunner

from maskwatch.analysis.liveness import STILL_FACE
from maskwatch.analysis.own_motion import Liveness
from maskwatch.analysis.results import TrackView
from maskwatch.cli.app import cli
from maskwatch.domain import Box, GateReason, MaskLogits, Reading, Verdict
from maskwatch.lab.evaluation.real_timeline import Part, PersonMoment, explain
from tests.fakes.expected_clips import expected_clip, expected_person

_READ = Reading(MaskLogits(0.0, 1.0))


def _view(
    reading: Reading | None = _READ, verdict: Verdict = Verdict.UNKNOWN, obstacle: str = ""
) -> TrackView:
    return TrackView(
        number=1,
        box=Box(0, 0, 1, 1),
        detected=True,
        verdict=verdict,
        liveness=Liveness.PENDING,
        reading=reading,
        evidence=0.0,
        cusum=0.0,
        zone="",
        obstacle=obstacle,
        violation=None,
    )


@pytest.mark.parametrize(
    ("score", "view", "part"),
    [
        (None, None, Part.DETECTOR),
        (0.7, None, Part.TRACK),
        (0.7, _view(Reading(None, GateReason.TURNED_AWAY)), Part.GATE),
        (0.7, _view(), Part.CLASSIFIER),
        (0.7, _view(verdict=Verdict.MASK), Part.CLASSIFIER),
        (0.7, _view(verdict=Verdict.NO_MASK, obstacle=STILL_FACE), Part.LIVENESS),
        (0.7, _view(verdict=Verdict.NO_MASK, obstacle="no mask is required"), Part.POLICY),
    ],
)
def test_a_miss_names_the_part_that_held_the_report_back(
    score: float | None, view: TrackView | None, part: Part
) -> None:
    (person,) = expected_clip(expected_person()).people
    moments = [PersonMoment(0.5, 0.9, _view())] + [PersonMoment(1 + i, score, view) for i in range(3)]
    reason = explain(person, moments, until=10.0)
    assert (reason.part, reason.share) == (part, 1.0)


@pytest.mark.shared
def test_the_command_scores_a_folder_and_draws_its_strips(shared_data: Path, tmp_path: Path) -> None:
    """A man runs up to the lens; a second person is expected where none is."""
    nobody = expected_person(id="b", who="nobody", boxes=[[0, 0, 0, 0.1, 0.1], [4, 0, 0, 0.1, 0.1]])
    clips = json.loads((shared_data / "videos" / "expected.json").read_text())["clips"]
    clip = clips["rdrumond_corridor.mp4"]
    clip["people"].append(nobody)
    (tmp_path / "expected.json").write_text(
        json.dumps({"clips": {"rdrumond_corridor.mp4": clip, "gone.mp4": {}}})
    )
    (tmp_path / "rdrumond_corridor.mp4").symlink_to(shared_data / "videos" / "rdrumond_corridor.mp4")
    options = ["--jobs", "1", "--strips", str(tmp_path / "strips"), "--report", str(tmp_path / "r.json")]

    done = CliRunner().invoke(cli, ["evaluate", "--events", "--real", str(tmp_path), *options])

    assert done.exit_code == 0, done.output
    assert "missed  rdrumond_corridor.mp4: b, detector in 100% of the frames" in done.output
    assert "absent     gone.mp4" in done.output
    report = json.loads((tmp_path / "r.json").read_text())
    assert (report["total"]["found"], report["total"]["due"]) == (1, 2)
    picture = cv2.imread(str(tmp_path / "strips" / "rdrumond_corridor.png"))
    assert picture is not None
    assert picture.shape[1] == 1200
