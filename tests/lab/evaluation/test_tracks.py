"""Swaps, fragments, first verdicts and detector runs are counted against the ground truth."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from maskwatch.analysis.own_motion import Liveness
from maskwatch.analysis.results import FrameResult, TrackView
from maskwatch.domain import Box, Verdict
from maskwatch.lab.evaluation.tracks import FirstVerdict, TrackEvaluation, TrackFindings
from maskwatch.lab.truth import PersonFrame, Truth, TruthFrame, Visit, Wear
from maskwatch.replay.replay import ReplayStep
from tests.fakes.truth import make_truth

_RATE = 5.0


@dataclass(frozen=True)
class _Frame:
    """A frame without a picture: the evaluation only checks that there is one."""

    sequence: int = 0


def _box(visit: int) -> Box:
    return Box(100.0 + 200 * visit, 50, 140.0 + 200 * visit, 100)


def _truth(*masks: Wear, frames: int = 10) -> Truth:
    people = tuple(
        PersonFrame(
            visit=i,
            face=(_box(i).x1, _box(i).y1, _box(i).x2, _box(i).y2),
            body=(0, 0, 1, 1),
            mask=mask,
            visible=1.0,
            yaw=0.0,
        )
        for i, mask in enumerate(masks)
    )
    return make_truth(
        rate=_RATE,
        seconds=frames / _RATE,
        visits=tuple(Visit(person=f"p{i}", portrait="x", style="") for i in range(len(masks))),
        frames=tuple(TruthFrame(at=i / _RATE, people=people) for i in range(frames)),
    )


def _view(number: int, visit: int, verdict: Verdict = Verdict.UNKNOWN) -> TrackView:
    return TrackView(
        number=number,
        box=_box(visit),
        detected=True,
        verdict=verdict,
        liveness=Liveness.ALIVE,
        reading=None,
        evidence=0.0,
        cusum=0.0,
        zone="",
        obstacle="",
        violation=None,
    )


def _findings(truth: Truth, *frames: list[TrackView]) -> TrackFindings:
    evaluation = TrackEvaluation(truth)
    for i, views in enumerate(frames):
        step = ReplayStep(_Frame(), i / _RATE, FrameResult(analysed=bool(i % 2), tracks=views))  # type: ignore[arg-type]
        evaluation.add(step)
    return evaluation.findings()


_BARE, _MASKED = Wear.BARE, Wear.MASKED


def test_people_who_keep_their_tracks_are_no_swaps_and_no_fragments() -> None:
    both = [_view(1, 0), _view(2, 1)]
    findings = _findings(_truth(_BARE, _MASKED), both, both, both)
    assert (findings.swaps, findings.fragments) == (0, 0)
    assert (findings.frames, findings.looked) == (3, 1)


def test_tracks_that_change_people_are_swaps() -> None:
    findings = _findings(_truth(_BARE, _MASKED), [_view(1, 0), _view(2, 1)], [_view(2, 0), _view(1, 1)])
    assert (findings.swaps, findings.fragments) == (2, 2)


def test_a_new_track_for_the_same_person_is_a_fragment_and_no_swap() -> None:
    findings = _findings(_truth(_BARE), [_view(1, 0)], [], [_view(7, 0)])
    assert (findings.swaps, findings.fragments) == (0, 1)


@pytest.mark.parametrize("later", [Verdict.NO_MASK, Verdict.MASK])
def test_only_the_first_verdict_counts(later: Verdict) -> None:
    findings = _findings(
        _truth(_MASKED), [_view(1, 0)], [_view(1, 0, Verdict.MASK)], [_view(1, 0, later)]
    )
    assert findings.verdicts == (FirstVerdict(masked=True, verdict=Verdict.MASK),)


def test_a_person_in_view_for_too_short_has_no_verdict() -> None:
    assert _findings(_truth(_BARE, frames=3), [_view(1, 0, Verdict.MASK)]).verdicts == ()


def test_footage_without_people_has_no_swaps_and_no_verdicts() -> None:
    findings = _findings(_truth(frames=0), [_view(1, 0)], [_view(2, 0)])
    assert (findings.swaps, findings.fragments, findings.verdicts) == (0, 0, ())
