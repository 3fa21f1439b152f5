"""`maskwatch scenes` renders clips and prints the events that should be reported."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from maskwatch.cli.scenes import scenes
from maskwatch.errors import UsageError


def test_list_names_every_scene() -> None:
    result = CliRunner().invoke(scenes, ["list"])
    assert result.exit_code == 0
    assert "reception" in result.output
    assert "under_nose" in result.output


def test_render_writes_clip_and_truth_and_prints_the_expected_events(tmp_path: Path) -> None:
    arguments = ["render", "lone_bare", "--out", str(tmp_path), "--resolution", "360p", "--fps", "5"]
    result = CliRunner().invoke(scenes, arguments)
    assert result.exit_code == 0, result.output
    assert "bare, judgeable from" in result.output
    assert (tmp_path / "lone_bare-0.mp4").is_file()
    again = CliRunner().invoke(scenes, ["expected", str(tmp_path / "lone_bare-0.mp4")])
    assert again.output.strip() in result.output


def test_a_clip_without_truth_is_rejected(tmp_path: Path) -> None:
    clip = tmp_path / "a.mp4"
    clip.write_bytes(b"")
    result = CliRunner().invoke(scenes, ["expected", str(clip)])
    assert isinstance(result.exception, UsageError)
    assert "no ground truth beside it" in str(result.exception)
