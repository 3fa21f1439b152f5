"""Negative footage is without events and differs from pass to pass."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from maskwatch.lab.evaluation.negatives import NegativePass, negative_passes, write_pass
from maskwatch.lab.evaluation.rules import expected_events
from maskwatch.lab.scenes import default_heads, render
from maskwatch.lab.scenes.scene import Scene


@pytest.fixture
def footage(tmp_path: Path) -> Path:
    path = tmp_path / "hall.mp4"
    scene = Scene("hall", "hall", 4.0)
    render(scene, path, size=(160, 90), fps=5, seed=0, faces=default_heads())
    return path


def _mean(path: Path) -> float:
    with av.open(str(path)) as container:
        return float(np.mean([f.to_ndarray(format="gray").mean() for f in container.decode(video=0)]))


def test_half_of_the_time_is_recorded_footage_and_the_rest_is_rendered(footage: Path) -> None:
    passes = negative_passes([footage], 200.0)
    assert sum(each.seconds for each in passes) >= 200.0
    assert sum(each.seconds for each in passes if each.clip) == pytest.approx(100.0, abs=4.0)
    assert len({each.seed for each in passes}) == len(passes)


def test_without_footage_all_of_it_is_rendered() -> None:
    assert all(each.clip is None for each in negative_passes([], 120.0))


def test_passes_differ_and_require_no_event(footage: Path, tmp_path: Path) -> None:
    means = set()
    for seed in (0, 1, 2):
        path = tmp_path / f"{seed}.mp4"
        truth = write_pass(NegativePass(footage, seed, 4.0), path, ())
        assert expected_events(truth) == ()
        assert truth.seconds > 1.0
        means.add(round(_mean(path), 2))
    assert len(means) == 3


def test_a_rendered_pass_shows_posters_and_no_people(tmp_path: Path) -> None:
    truth = write_pass(NegativePass(None, 3, 1.0), tmp_path / "a.mp4", default_heads())
    assert truth.visits == ()
    assert {fake.kind for fake in truth.fakes} == {"poster"}
