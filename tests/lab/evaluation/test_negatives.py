"""The quiet hour is made of footage without events, changed from pass to pass."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from maskwatch.lab.evaluation.negatives import QuietPass, quiet_passes, write_pass
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


def test_half_the_time_comes_from_the_footage_and_the_rest_is_rendered(footage: Path) -> None:
    passes = quiet_passes([footage], 200.0)
    assert sum(one.seconds for one in passes) >= 200.0
    assert sum(one.seconds for one in passes if one.clip) == pytest.approx(100.0, abs=4.0)
    assert len({one.seed for one in passes}) == len(passes)


def test_without_footage_all_of_it_is_rendered() -> None:
    assert all(one.clip is None for one in quiet_passes([], 120.0))


def test_no_pass_is_like_another_and_none_asks_for_an_event(footage: Path, tmp_path: Path) -> None:
    means = set()
    for seed in (0, 1, 2):
        path = tmp_path / f"{seed}.mp4"
        truth = write_pass(QuietPass(footage, seed, 4.0), path, ())
        assert expected_events(truth) == ()
        assert truth.seconds > 1.0
        means.add(round(_mean(path), 2))
    assert len(means) == 3


def test_a_rendered_pass_shows_posters_and_no_people(tmp_path: Path) -> None:
    truth = write_pass(QuietPass(None, 3, 1.0), tmp_path / "a.mp4", default_heads())
    assert truth.visits == ()
    assert {fake.kind for fake in truth.fakes} == {"poster"}
