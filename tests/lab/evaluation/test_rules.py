"""Expected events follow from the ground truth only."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.lab.evaluation.rules import Duty, Ending, Rules, expected_events, judgeable
from maskwatch.lab.truth import PersonFrame, Truth, TruthFrame, Visit, Wear
from tests.fakes.truth import make_truth

_RATE = 10.0
B, M, U, C, N = (
    Wear.BARE,
    Wear.MASKED,
    Wear.UNDER_NOSE,
    Wear.CHANGING,
    Wear.ON_CHIN,
)


def _person(
    mask: Wear = B,
    *,
    height: float = 60.0,
    visible: float = 1.0,
    yaw: float = 0.0,
    visit: int = 0,
) -> PersonFrame:
    return PersonFrame(
        visit=visit,
        face=(100.0, 50.0, 100.0 + 0.8 * height, 50.0 + height),
        body=(80.0, 50.0, 180.0, 300.0),
        mask=mask,
        visible=visible,
        yaw=yaw,
    )


def _truth(frames: list[PersonFrame | None], *, alive: bool = True, damaged: range = range(0)) -> Truth:
    return make_truth(
        rate=_RATE,
        seconds=len(frames) / _RATE,
        visits=(Visit(person="ann", portrait="x", style="", alive=alive),),
        frames=tuple(
            TruthFrame(at=i / _RATE, people=(p,) if p else (), damaged=i in damaged)
            for i, p in enumerate(frames)
        ),
    )


def test_a_face_without_a_mask_for_two_seconds_must_be_reported_once() -> None:
    (event,) = expected_events(_truth([_person()] * 20))
    assert (event.person, event.duty, event.state) == ("ann", Duty.REQUIRED, B)
    assert (event.begins, event.judgeable_from, event.judgeable_seconds) == (0.0, 0.0, 2.0)
    assert (event.ends, event.ending) == (1.9, Ending.LEFT)


def test_a_masked_visit_requires_no_event() -> None:
    assert expected_events(_truth([_person(M)] * 30)) == ()


def test_a_mannequin_requires_no_event() -> None:
    assert expected_events(_truth([_person()] * 30, alive=False)) == ()


def test_an_empty_clip_requires_no_event() -> None:
    assert expected_events(_truth([None] * 10)) == ()


@pytest.mark.parametrize(
    ("person", "clear"),
    [
        (_person(height=32), True),
        (_person(height=31.9), False),
        (_person(visible=0.7), True),
        (_person(visible=0.69), False),
        (_person(yaw=-35), True),
        (_person(yaw=35.1), False),
        (_person(C), False),
        (_person(U), True),
    ],
)
def test_a_face_is_judgeable_if_large_visible_frontal_and_unchanging(
    person: PersonFrame, clear: bool
) -> None:
    assert judgeable(person, Rules()) is clear


def test_the_back_of_a_head_is_not_judgeable() -> None:
    seen = PersonFrame(visit=0, face=None, body=(0, 0, 9, 9), mask=B, visible=0.0, yaw=180)
    assert not judgeable(seen, Rules())
    assert expected_events(_truth([seen] * 30)) == ()


def test_an_event_too_short_or_too_small_is_allowed_and_not_required() -> None:
    (short,) = expected_events(_truth([_person()] * 9))
    (small,) = expected_events(_truth([_person(height=25)] * 30))
    assert short.duty is Duty.ALLOWED
    assert (small.duty, small.judgeable_from) == (Duty.ALLOWED, None)


def test_the_judgeable_second_may_be_interrupted() -> None:
    frames = [_person()] * 6 + [_person(visible=0.0)] * 10 + [_person()] * 6
    (event,) = expected_events(_truth(frames))
    assert event.duty is Duty.REQUIRED


def test_a_person_hidden_for_a_while_is_one_event() -> None:
    frames = [_person()] * 15 + [_person(visible=0.0)] * 15 + [_person()] * 15
    assert len(expected_events(_truth(frames))) == 1


def test_putting_the_mask_on_ends_the_event_when_it_is_worn() -> None:
    frames = [_person()] * 20 + [_person(C)] * 9 + [_person(M)] * 20
    (event,) = expected_events(_truth(frames))
    assert (event.ends, event.ending) == (2.9, Ending.MASKED)


def test_each_time_the_mask_is_taken_off_begins_an_event() -> None:
    unmasked = [_person(C)] * 5 + [_person()] * 15 + [_person(C)] * 5
    frames = [_person(M)] * 10 + unmasked + [_person(M)] * 10 + unmasked
    events = expected_events(_truth(frames))
    assert [event.begins for event in events] == [1.5, 5.0]
    assert [event.ending for event in events] == [Ending.MASKED, Ending.LEFT]


def test_a_mask_under_the_nose_is_an_event_only_if_the_policy_says_so() -> None:
    truth = _truth([_person(U)] * 20)
    assert expected_events(truth) == ()
    (event,) = expected_events(truth, Rules(incorrect_is_violation=True))
    assert (event.state, event.duty) == (U, Duty.REQUIRED)


def test_a_mask_on_the_chin_may_be_reported_by_default() -> None:
    (event,) = expected_events(_truth([_person(N)] * 20))
    assert event.duty is Duty.ALLOWED


def test_damaged_frames_do_not_count_towards_the_second() -> None:
    frames: list[PersonFrame | None] = [_person()] * 15
    (event,) = expected_events(_truth(frames, damaged=range(8)))
    assert (event.duty, event.judgeable_from) == (Duty.ALLOWED, 0.8)


_STATES = st.sampled_from([B, M, U, C, N])


@given(st.lists(st.tuples(_STATES, st.floats(0, 1), st.floats(10, 90)), min_size=1, max_size=60))
def test_events_of_one_visit_are_ordered_and_do_not_overlap(
    seen: list[tuple[Wear, float, float]],
) -> None:
    """No event begins after it ends or outside of the visit."""
    frames = [_person(mask, visible=share, height=height) for mask, share, height in seen]
    events = expected_events(_truth(list(frames)))
    for event in events:
        assert 0 <= event.begins <= event.ends <= len(seen) / _RATE
        assert event.judgeable_from is None or event.begins <= event.judgeable_from <= event.ends
    for one, two in pairwise(events):
        assert one.ends <= two.begins


@given(st.lists(st.sampled_from([M, C]), max_size=40))
def test_a_person_who_always_wears_a_mask_is_never_expected(states: list[Wear]) -> None:
    assert expected_events(_truth([_person(state) for state in states])) == ()


def test_the_rules_do_not_import_detection_or_tracking() -> None:
    """The expected events must not depend on the system that they judge."""
    script = (
        "import sys, maskwatch.lab.evaluation.rules\n"
        "print([m for m in sys.modules if m.startswith(('maskwatch.tracking', 'maskwatch.vision',"
        " 'maskwatch.worker', 'cv2', 'ai_edge_litert'))])"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"
