"""The demo plays slower on a slow machine, and does not call a slow machine a miss."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from maskwatch.cli.demo import _judge
from maskwatch.lab.demo import DemoResult, Watched, watched
from maskwatch.lab.evaluation.matching import DueVisit, Matching, ReportedVisit
from maskwatch.lab.machine_speed import stretch_for
from maskwatch.lab.rtsp.clip import CLOCK_RATE, Clip

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
MISSED = DueVisit("hall", "ann", NOON, NOON, must=True)
FALSE = ReportedVisit("hall", "1", NOON)


@pytest.mark.parametrize(
    ("speed", "stretch"), [(9.0, 1.0), (1.3, 1.0), (0.65, 2.0), (0.01, 4.0), (0.0, 4.0)]
)
def test_a_machine_with_too_little_speed_plays_slower_within_limits(
    speed: float, stretch: float
) -> None:
    assert stretch_for(speed) == pytest.approx(stretch)


def test_a_stretched_clip_has_the_same_pictures_at_later_times(clip_of: Callable[..., Path]) -> None:
    clip = Clip.load(clip_of(frames=50, gop=25))
    slow = clip.stretched(2.5)
    assert slow.seconds == pytest.approx(2.5 * clip.seconds)
    assert slow.rate == pytest.approx(clip.rate / 2.5)
    assert [unit.nals for unit in slow.units] == [unit.nals for unit in clip.units]
    ticks = [unit.present for unit in slow.units]
    assert ticks == [round(2.5 * unit.present) for unit in clip.units]
    assert ticks[-1] > 4.5 * CLOCK_RATE


def test_frames_are_counted_from_the_beginning_of_the_clips_on() -> None:
    before = {("hall", "skipped"): 50, ("hall", "analysed"): 1}
    after = {
        ("hall", "skipped"): 60,
        ("hall", "missed"): 20,
        ("hall", "late"): 900,
        ("hall", "analysed"): 11,
        ("hall", "gated"): 10,
        ("yard", "analysed"): 7,
    }
    assert watched(before, after) == (Watched("hall", 20, 50), Watched("yard", 7, 7))


@pytest.mark.parametrize(("camera", "named"), [("hall", True), ("yard", False)])
def test_a_slow_machine_is_named_instead_of_a_miss_of_its_camera(
    capsys: pytest.CaptureFixture[str], camera: str, named: bool
) -> None:
    _judge(DemoResult(Matching((), (MISSED,), (FALSE,)), (Watched(camera, 30, 120),)))
    printed = capsys.readouterr().out
    assert f"TOO SLOW   {camera}: this machine analysed 30 of 120 frames" in printed
    assert ("MISSED" in printed, "FALSE" in printed) == (not named, not named)


def test_a_miss_on_a_machine_that_is_fast_enough_is_a_miss(capsys: pytest.CaptureFixture[str]) -> None:
    _judge(DemoResult(Matching((), (MISSED,), ()), (Watched("hall", 90, 120),)))
    printed = capsys.readouterr().out
    assert "MISSED     hall: ann" in printed
    assert "TOO SLOW" not in printed
