"""`make bench-check` fails when watching a camera costs more than it did."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import check

ClipOf = Callable[..., Path]


def test_a_ratio_of_more_than_a_tenth_above_its_reference_is_worse() -> None:
    reference = {"a": 2.0, "b": 2.0}
    assert check.worse({"a": 2.19, "b": 2.21, "new": 9.0}, reference) == ["b"]


@pytest.mark.parametrize(("reference", "code"), [(0.1, 1), (1000.0, 0)])
def test_the_exit_code_says_whether_a_ratio_is_worse(
    reference: float,
    code: int,
    clip_of: ClipOf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    clip, stored = clip_of(frames=60), tmp_path / "reference.json"
    stored.write_text(json.dumps({"ratios": {"clip": reference}}), encoding="utf-8")
    monkeypatch.setattr(check, "REFERENCE", stored)
    monkeypatch.setattr(check, "clips", lambda _folder: {"clip": clip})
    monkeypatch.setattr("sys.argv", ["check", "--rounds", "1"])
    assert check.main() == code
    assert ("is above 0.11" in capsys.readouterr().out) == bool(code)


def test_every_clip_that_is_measured_has_a_reference() -> None:
    stored = json.loads(check.REFERENCE.read_text(encoding="utf-8"))
    assert set(stored["ratios"]) == set(check.names())
