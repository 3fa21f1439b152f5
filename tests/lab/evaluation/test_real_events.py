"""Reports on recorded clips are judged by the rules of `tools/judge_events.py`, to its figures."""

from __future__ import annotations

import importlib.util
import json
import random
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from maskwatch.domain import Box
from maskwatch.lab.evaluation.real_clips import ExpectedClip, read_expected
from maskwatch.lab.evaluation.real_events import Judging, TrackedReport, judge_real, total
from tests.fakes.expected_clips import expected_clip, expected_person

_RULES = Judging()
_AT_THE_FACE = Box(0.41, 0.41, 0.51, 0.61)


def _report(at: float, box: Box = _AT_THE_FACE) -> TrackedReport:
    return TrackedReport(at, box, 1)


def test_the_first_report_finds_a_person_and_the_second_is_a_duplicate() -> None:
    outcome = judge_real(expected_clip(expected_person()), [_report(1.5), _report(4.0)], _RULES)
    assert (outcome.found, outcome.delays) == ({"a": 1.5}, {"a": 0.5})
    assert [one.moment for one in outcome.duplicates] == [4.0]
    assert (outcome.missed, outcome.false) == ((), ())


def test_a_report_about_nobody_is_false_and_the_person_missed() -> None:
    outcome = judge_real(expected_clip(expected_person()), [_report(1.5, Box(0, 0, 0.1, 0.1))], _RULES)
    assert (outcome.missed, [one.why for one in outcome.false]) == (("a",), ["no person there"])


def test_a_report_about_somebody_masked_for_the_lag_is_false() -> None:
    clip = expected_clip(expected_person(mask=[[0, 10, "masked"]]))
    assert [one.why for one in judge_real(clip, [_report(3.0)], _RULES).false] == ["masked"]


def test_a_report_in_an_allowed_area_is_neither_right_nor_wrong() -> None:
    area = {"who": "the street", "rule": "allowed", "boxes": [[0, 0, 0, 1, 1], [10, 0, 0, 1, 1]]}
    outcome = judge_real(expected_clip(objects=(area,)), [_report(1.0, Box(0, 0, 0.1, 0.1))], _RULES)
    assert [one.who for one in outcome.neither] == ["the street"]
    assert total([outcome]).precision is None


# --- against the tool -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    path = Path(__file__).resolve().parents[4] / "shared" / "tools" / "judge_events.py"
    if not path.is_file():
        pytest.skip("shared data is absent")
    spec = importlib.util.spec_from_file_location("judge_events", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _random_reports(clip: ExpectedClip, seed: int) -> list[TrackedReport]:
    """Return reports at, near and away from the people and objects, before, in and after their time."""
    rng = random.Random(seed)
    reports = []
    for one in (*clip.people, *clip.objects):
        for _ in range(6):
            at = rng.uniform(one.boxes[0][0] - 0.6, one.boxes[-1][0] + 0.6)
            box = one.box_at(at).grown(rng.uniform(-0.3, 0.6))
            reports.append(_report(at, box.moved(rng.gauss(0, 0.02), rng.gauss(0, 0.03))))
    return sorted(reports, key=lambda report: report.at)


def _as_line(report: TrackedReport) -> str:
    violation = {"track": report.track, "box": msgspec.to_builtins(report.box)}
    change = {"kind": "opened", "violation": violation}
    return json.dumps({"moment": report.at, "change": change})


@pytest.mark.shared
def test_random_reports_are_judged_as_by_the_tool(
    tool: ModuleType, shared_data: Path, tmp_path: Path
) -> None:
    """Every clip of the shared folder, some thousand reports, and the figures over all."""
    raw = json.loads((shared_data / "videos" / "expected.json").read_text())["clips"]
    ours, theirs = [], []
    for name, clip in read_expected(shared_data / "videos").items():
        reports = _random_reports(clip, len(name))
        lines = tmp_path / "reports.jsonl"
        lines.write_text("\n".join(map(_as_line, reports)))
        ours.append(judge_real(clip, reports, _RULES))
        theirs.append(tool.judge(raw[name], lines, _RULES.lag, _RULES.tolerance))
        assert _plain(ours[-1]) == _comparable(theirs[-1]), name
    assert _plain(total(ours)) == json.loads(json.dumps(tool.total(theirs)))
    assert total(ours).found > 20
    assert total(ours).false > 20


def _plain(value: object) -> Any:
    return _comparable(json.loads(msgspec.json.encode(value)))


def _comparable(outcome: dict[str, Any]) -> dict[str, Any]:
    """Return the outcome in the project's words, without the `why` of reports that are not false."""
    for one in outcome["false"] if isinstance(outcome["false"], list) else ():
        one["why"] = one["why"].replace("nobody there", "no person there")
    for name in ("duplicates", "neither"):
        for one in outcome[name] if isinstance(outcome[name], list) else ():
            one.pop("why", None)
    return outcome
