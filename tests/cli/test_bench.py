"""`maskwatch bench` measures a clip as a worker watches it, and says how many cameras fit."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from maskwatch.errors import SourceError, UsageError
from maskwatch.lab import other_pipelines
from maskwatch.lab.camera_cost import Cost
from maskwatch.lab.other_pipelines import OPENCV, REGIONS
from tests.fakes.command_line import run
from tests.fakes.waiting import wait_until

ClipOf = Callable[..., Path]


def test_a_clip_is_measured_and_the_cameras_that_fit_are_named(
    clip_of: ClipOf, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("bench", "--quick", "--json", "--video", clip_of(frames=100)) == 0
    (row,) = json.loads(capfd.readouterr().out)["rows"]
    assert 0 < row["decode"] < row["watch"] * 1.2
    assert row["ratio"] == row["lowest"] == row["highest"]
    assert 20 < row["memory"] < 1000
    assert row["cameras"] > 0


def test_other_ways_are_measured_beside_ours_and_drawn(
    clip_of: ClipOf, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(other_pipelines, "_ABOUT", {OPENCV: "loop", REGIONS: "regions"})
    plot = tmp_path / "cost.svg"
    clip = clip_of(frames=100)
    assert run("bench", "--quick", "--json", "--beside", "--plot", plot, "--video", clip) == 0
    (row,) = json.loads(capfd.readouterr().out)["rows"]
    assert list(row["beside"]) == [OPENCV, REGIONS]
    assert min(row["beside"].values()) > 0.5
    assert "<svg" in plot.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["cost.txt", "missing/cost.svg"])
def test_a_plot_that_cannot_be_written_is_refused_before_measuring(
    name: str, clip_of: ClipOf, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    plot = tmp_path / name
    assert run("bench", "--plot", plot, "--video", clip_of()) == UsageError.exit_code
    assert str(plot) in capfd.readouterr().err


def test_a_third_of_processor_and_memory_stays_free() -> None:
    cost = Cost(decode=0.1, watch=0.5, ratio=5.0, lowest=5.0, highest=5.0, memory=100.0, beside={})
    assert cost.cameras(cores=3.0, memory=10_000.0) == 4
    assert cost.cameras(cores=300.0, memory=600.0) == 4


@pytest.mark.parametrize("kind", ["missing", "text", "short"])
def test_what_cannot_be_measured_is_one_clear_line(
    kind: str, clip_of: ClipOf, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    paths = {"missing": tmp_path / "none.mp4", "text": tmp_path / "text.mp4"}
    (tmp_path / "text.mp4").write_text("no video\n" * 99)
    clip = clip_of(frames=10) if kind == "short" else paths[kind]
    assert run("bench", "--quick", "--video", clip) == SourceError.exit_code
    said = capfd.readouterr().err.splitlines()[-1]
    assert str(clip) in said
    assert "Traceback" not in said


@pytest.mark.long
@pytest.mark.sweep
def test_ctrl_c_ends_the_measurement_and_its_process(clip_of: ClipOf) -> None:
    clip = clip_of(frames=1000, size=(640, 360))
    command = [sys.executable, "-m", "maskwatch", "bench", "--video", str(clip)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    assert process.stderr is not None
    while b"measuring" not in (read := os.read(process.stderr.fileno(), 1000)):
        assert read
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 1  # as of every verb
    assert b"Traceback" not in said
    wait_until(lambda: not group_exists(process.pid), 20, "its process ends too")


def group_exists(leader: int) -> bool:
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return False
    return True
