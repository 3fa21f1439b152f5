"""The evaluation's own machinery: what is run, how the camera is set, what a replay reports."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from maskwatch.cli.evaluate import evaluate
from maskwatch.config.schema import ZoneRule
from maskwatch.errors import UsageError
from maskwatch.lab.evaluation.footage import Run
from maskwatch.lab.evaluation.negatives import QuietPass
from maskwatch.lab.evaluation.portraits_choice import PortraitsChoice
from maskwatch.lab.evaluation.run import EvaluationPlan, camera_for, plan, run_plan
from maskwatch.lab.scenes import default_heads, render, scene_named
from maskwatch.lab.scenes.catalogue import KINDS
from maskwatch.lab.truth import Truth


def _truth(**changes: object) -> Truth:
    plain: dict[str, object] = {
        "name": "screen",
        "kind": "screen",
        "seed": 0,
        "size": (640, 360),
        "rate": 10.0,
        "seconds": 1.0,
        "visits": (),
        "frames": (),
    }
    return Truth(**{**plain, **changes})  # type: ignore[arg-type]  # the fields are checked by name


def test_a_full_run_has_every_kind_and_three_hundred_visits() -> None:
    runs = plan(quiet_seconds=3600).runs
    kinds = {run.kind for run in runs if run.quiet is None}
    assert kinds == set(KINDS)
    assert len(kinds) >= 25
    scenes = [scene_named(run.kind, run.seed) for run in runs if run.quiet is None]
    assert sum(figure.alive for scene in scenes for figure in scene.figures) >= 300


def test_a_quick_run_is_small_and_has_no_quiet_hour() -> None:
    runs = plan(quick=True).runs
    assert 5 <= len(runs) <= 10
    assert all(run.quiet is None and run.kind in KINDS for run in runs)


def test_an_unknown_kind_is_refused_before_anything_is_rendered() -> None:
    with pytest.raises(UsageError, match="did you mean 'poster'"):
        plan(kinds=("lone_bare", "postr"))


def test_a_screen_is_in_a_zone_that_is_ignored() -> None:
    truth = _truth(ignore=(((0.1, 0.1), (0.3, 0.1), (0.3, 0.4), (0.1, 0.4)),))
    camera = camera_for(truth, Path("a.mp4"))
    assert [zone.rule for zone in camera.zones] == [ZoneRule.IGNORED]
    assert camera.rate == 5.0


def test_a_slow_camera_is_not_asked_for_more_than_it_sends() -> None:
    assert camera_for(_truth(rate=2.5), Path("a.mp4")).rate == 2.5


def test_a_clip_that_went_wrong_is_kept_with_its_truth(tmp_path: Path) -> None:
    """A quiet pass over a clip with a bare visitor in it cannot but give a false alarm."""
    visitor = tmp_path / "visitor.mp4"
    scene = scene_named("lone_bare", 0)
    render(scene, visitor, size=(960, 540), fps=10, seed=0, faces=default_heads())
    wrong = Run("quiet", 0, QuietPass(visitor, 0, scene.seconds))
    todo = EvaluationPlan((wrong,), keep=tmp_path / "kept")
    ((_, judged),) = run_plan(todo, PortraitsChoice(), jobs=1)
    assert judged.outcome.wrong
    assert Truth.load(tmp_path / "kept" / "quiet-0.truth.json").visits == ()
    assert (tmp_path / "kept" / "quiet-0.mp4").is_file()


def test_a_bare_visitor_is_reported_once_and_a_masked_one_not_at_all() -> None:
    """The whole path on two rendered scenes: the smallest evaluation there is."""
    todo = plan(kinds=("lone_bare", "lone_masked"), seeds=1, quiet_seconds=0)
    judged = dict(run_plan(todo, PortraitsChoice(), jobs=1))
    bare, masked = (judged[Run(kind, 0)].outcome for kind in ("lone_bare", "lone_masked"))
    assert (bare.required, bare.found, bare.duplicates, bare.false_alarms) == (1, 1, 0, ())
    assert (masked.required, masked.false_alarms) == (0, ())


def test_a_second_run_takes_clips_and_results_from_the_cache_and_says_the_same(tmp_path: Path) -> None:
    """Removing the clips after the first run shows that the second one needs none of them."""
    todo = plan(kinds=("lone_masked",), seeds=1, quiet_seconds=0, cache=tmp_path)
    first = list(run_plan(todo, PortraitsChoice(), jobs=1))
    (clip,) = tmp_path.glob("*.mp4")
    clip.write_bytes(b"not a clip any more")
    assert list(run_plan(todo, PortraitsChoice(), jobs=1)) == first


def test_without_the_gate_every_frame_is_looked_at_and_with_it_no_more() -> None:
    todo = plan(kinds=("walking_off",), seeds=1, quiet_seconds=0)
    ((_, judged),) = run_plan(todo, PortraitsChoice(), jobs=1)
    assert 0 < judged.findings.looked <= judged.findings.frames
    assert judged.ungated is not None


def test_evaluate_hands_over_to_events_and_says_so_in_its_help() -> None:
    plain = CliRunner().invoke(evaluate, ["--help"])
    events = CliRunner().invoke(evaluate, ["--events", "--help"])
    assert "--events" in plain.output
    assert "--quick" in events.output
    assert "--data" not in events.output
