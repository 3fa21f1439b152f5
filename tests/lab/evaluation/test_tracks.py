"""The witness counts identities, first verdicts and looks as somebody who knows the truth would."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from maskwatch.analysis.own_motion import Liveness
from maskwatch.analysis.results import FrameResult, TrackView
from maskwatch.domain import Box, Verdict
from maskwatch.lab.evaluation.tracks import FirstVerdict, TrackEvaluation, TrackFindings
from maskwatch.lab.truth import PersonFrame, Truth, TruthFrame, Visit, Wear
from maskwatch.replay.replay import ReplayStep

_RATE = 5.0


@dataclass(frozen=True)
class _Frame:
    """As much of a frame as a witness asks for: that there is one."""

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
    return Truth(
        name="t",
        kind="t",
        seed=0,
        size=(640, 360),
        rate=_RATE,
        seconds=frames / _RATE,
        visits=tuple(Visit(person=f"p{i}", portrait="x", style="") for i in range(len(masks))),
        frames=tuple(TruthFrame(at=i / _RATE, people=people) for i in range(frames)),
    )


def _view(number: int, place: int, verdict: Verdict = Verdict.UNKNOWN) -> TrackView:
    return TrackView(
        number=number,
        box=_box(place),
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


def _told(truth: Truth, *frames: list[TrackView]) -> TrackFindings:
    witness = TrackEvaluation(truth)
    for i, views in enumerate(frames):
        step = ReplayStep(_Frame(), i / _RATE, FrameResult(analysed=bool(i % 2), tracks=views))  # type: ignore[arg-type]
        witness.see(step)
    return witness.findings()


_BARE, _MASKED = Wear.BARE, Wear.MASKED


def test_people_who_keep_their_tracks_are_neither_swapped_nor_broken_off() -> None:
    both = [_view(1, 0), _view(2, 1)]
    told = _told(_truth(_BARE, _MASKED), both, both, both)
    assert (told.swaps, told.fragments) == (0, 0)
    assert (told.frames, told.looked) == (3, 1)


def test_tracks_that_change_people_are_swaps() -> None:
    told = _told(_truth(_BARE, _MASKED), [_view(1, 0), _view(2, 1)], [_view(2, 0), _view(1, 1)])
    assert (told.swaps, told.fragments) == (2, 2)


def test_a_new_track_for_the_same_person_is_a_fragment_and_no_swap() -> None:
    told = _told(_truth(_BARE), [_view(1, 0)], [], [_view(7, 0)])
    assert (told.swaps, told.fragments) == (0, 1)


@pytest.mark.parametrize("later", [Verdict.NO_MASK, Verdict.MASK])
def test_the_first_verdict_is_the_one_that_counts(later: Verdict) -> None:
    told = _told(_truth(_MASKED), [_view(1, 0)], [_view(1, 0, Verdict.MASK)], [_view(1, 0, later)])
    assert told.verdicts == (FirstVerdict(masked=True, verdict=Verdict.MASK),)


def test_who_is_in_view_for_too_short_is_not_asked_about() -> None:
    assert _told(_truth(_BARE, frames=3), [_view(1, 0, Verdict.MASK)]).verdicts == ()


def test_no_person_is_tracked_on_footage_without_a_truth_of_people() -> None:
    told = _told(_truth(frames=0), [_view(1, 0)], [_view(2, 0)])
    assert (told.swaps, told.fragments, told.verdicts) == (0, 0, ())
