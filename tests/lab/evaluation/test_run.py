"""The event evaluation plans clips, configures cameras, replays and caches."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from maskwatch.cli.evaluate import evaluate
from maskwatch.config.schema import ZoneRule
from maskwatch.errors import UsageError
from maskwatch.lab.evaluation.clip_cache import PlannedClip
from maskwatch.lab.evaluation.negatives import NegativePass
from maskwatch.lab.evaluation.portraits_choice import PortraitsChoice
from maskwatch.lab.evaluation.run import EvaluationPlan, camera_for, make_plan, run_plan
from maskwatch.lab.scenes import default_heads, render, scene_named
from maskwatch.lab.scenes.catalogue import KINDS
from maskwatch.lab.truth import Truth
from tests.fakes.truth import make_truth


def test_a_full_run_has_every_kind_and_three_hundred_visits() -> None:
    runs = make_plan(quiet_seconds=3600).clips
    kinds = {run.kind for run in runs if run.negative is None}
    assert kinds == set(KINDS)
    assert len(kinds) >= 25
    scenes = [scene_named(run.kind, run.seed) for run in runs if run.negative is None]
    assert sum(figure.alive for scene in scenes for figure in scene.figures) >= 300


def test_a_quick_run_is_small_and_has_no_negative_footage() -> None:
    runs = make_plan(quick=True).clips
    assert 5 <= len(runs) <= 10
    assert all(run.negative is None and run.kind in KINDS for run in runs)


def test_an_unknown_kind_is_refused_before_anything_is_rendered() -> None:
    with pytest.raises(UsageError, match="did you mean 'poster'"):
        make_plan(kinds=("lone_bare", "postr"))


def test_a_screen_is_in_an_ignored_zone() -> None:
    truth = make_truth(ignore=(((0.1, 0.1), (0.3, 0.1), (0.3, 0.4), (0.1, 0.4)),))
    camera = camera_for(truth, Path("a.mp4"))
    assert [zone.rule for zone in camera.zones] == [ZoneRule.IGNORED]
    assert camera.rate == 5.0


def test_the_rate_of_a_slow_camera_is_the_rate_of_its_clip() -> None:
    assert camera_for(make_truth(rate=2.5), Path("a.mp4")).rate == 2.5


@pytest.mark.long
def test_a_clip_with_faults_is_kept_with_its_truth(tmp_path: Path) -> None:
    """A pass over a clip with a visitor without a mask gives a false alarm."""
    visitor = tmp_path / "visitor.mp4"
    scene = scene_named("lone_bare", 0)
    render(scene, visitor, size=(960, 540), fps=10, seed=0, faces=default_heads())
    planned = PlannedClip("quiet", 0, NegativePass(visitor, 0, scene.seconds))
    plan = EvaluationPlan((planned,), keep=tmp_path / "kept")
    ((_, result),) = run_plan(plan, PortraitsChoice(), jobs=1)
    assert result.outcome.wrong
    assert Truth.load(tmp_path / "kept" / "quiet-0.truth.json").visits == ()
    assert (tmp_path / "kept" / "quiet-0.mp4").is_file()


def test_a_visitor_without_a_mask_is_reported_once_and_a_masked_one_never() -> None:
    """The smallest evaluation: two rendered scenes."""
    plan = make_plan(kinds=("lone_bare", "lone_masked"), seeds=1, quiet_seconds=0)
    result = dict(run_plan(plan, PortraitsChoice(), jobs=1))
    bare, masked = (result[PlannedClip(kind, 0)].outcome for kind in ("lone_bare", "lone_masked"))
    assert (bare.required, bare.found, bare.duplicates, bare.false_alarms) == (1, 1, 0, ())
    assert (masked.required, masked.false_alarms) == (0, ())


@pytest.mark.long
def test_a_second_run_returns_the_same_results_from_the_cache(tmp_path: Path) -> None:
    """The clip is overwritten after the first run, so the second one cannot replay it."""
    plan = make_plan(kinds=("lone_masked",), seeds=1, quiet_seconds=0, cache=tmp_path)
    first = list(run_plan(plan, PortraitsChoice(), jobs=1))
    (clip,) = tmp_path.glob("*.mp4")
    clip.write_bytes(b"not a clip any more")
    assert list(run_plan(plan, PortraitsChoice(), jobs=1)) == first


@pytest.mark.long
def test_the_detector_runs_on_at_most_every_frame_with_the_gate() -> None:
    plan = make_plan(kinds=("walking_off",), seeds=1, quiet_seconds=0)
    ((_, result),) = run_plan(plan, PortraitsChoice(), jobs=1)
    assert 0 < result.findings.looked <= result.findings.frames
    assert result.ungated is not None


def test_evaluate_has_other_options_with_events() -> None:
    plain = CliRunner().invoke(evaluate, ["--help"])
    events = CliRunner().invoke(evaluate, ["--events", "--help"])
    assert "--events" in plain.output
    assert "--quick" in events.output
    assert "--data" not in events.output
