"""Reports are matched with expected events by time and person, and each is counted once."""

from __future__ import annotations

from itertools import permutations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.domain import Box
from maskwatch.lab.evaluation.events import Reported, judge_clip
from maskwatch.lab.truth import Fake, PersonFrame, Truth, TruthFrame, Visit, Wear
from tests.fakes.truth import make_truth

_RATE = 10.0


def _face(visit: int, second: float) -> tuple[float, float, float, float]:
    x = 100.0 + 200 * visit + 5 * second
    return (x, 50.0, x + 40, 100.0)


def _truth(*masks: str, seconds: float = 6.0, alive: tuple[bool, ...] = ()) -> Truth:
    """One person for each word of `masks`, a letter for each second: b bare, m masked, - absent."""
    states = {"b": Wear.BARE, "m": Wear.MASKED, "u": Wear.UNDER_NOSE}

    def people(at: float) -> tuple[PersonFrame, ...]:
        return tuple(
            PersonFrame(
                visit=i,
                face=_face(i, at),
                body=(0, 0, 1, 1),
                mask=states[word[int(at)]],
                visible=1.0,
                yaw=0.0,
            )
            for i, word in enumerate(masks)
            if int(at) < len(word) and word[int(at)] != "-"
        )

    count = round(seconds * _RATE)
    return make_truth(
        rate=_RATE,
        seconds=seconds,
        visits=tuple(
            Visit(person=f"p{i}", portrait="x", style="", alive=alive[i] if alive else True)
            for i in range(len(masks))
        ),
        frames=tuple(TruthFrame(at=i / _RATE, people=people(i / _RATE)) for i in range(count)),
        fakes=(Fake(kind="poster", box=(500, 50, 540, 100), mask=Wear.BARE),),
    )


def _report(visit: int, at: float) -> Reported:
    return Reported(at, Box(*_face(visit, at)))


def test_a_report_about_the_right_person_in_time_is_found() -> None:
    outcome = judge_clip(_truth("bbbb", "mmmm"), [_report(0, 0.8)])
    assert (outcome.required, outcome.found, outcome.duplicates) == (1, 1, 0)
    assert outcome.alerts[0].delay == 0.8
    assert outcome.missed == outcome.false_alarms == ()


def test_a_visitor_without_a_mask_who_is_not_reported_is_a_miss() -> None:
    outcome = judge_clip(_truth("bbbb"), [])
    assert [miss.person for miss in outcome.missed] == ["p0"]


def test_a_report_about_another_person_is_false_and_the_event_missed() -> None:
    """The right time is not enough: the person must match too."""
    outcome = judge_clip(_truth("bbbb", "mmmm"), [_report(1, 0.8)])
    assert outcome.found == 0
    assert [alarm.about for alarm in outcome.false_alarms] == ["p1 (masked)"]
    assert len(outcome.missed) == 1


def test_a_second_report_of_one_event_is_a_duplicate_and_no_false_alarm() -> None:
    outcome = judge_clip(_truth("bbbbb"), [_report(0, 0.8), _report(0, 3.2)])
    assert (outcome.found, outcome.duplicates, outcome.false_alarms) == (1, 1, ())


def test_taking_the_mask_off_again_is_another_event() -> None:
    outcome = judge_clip(_truth("bbmmbb"), [_report(0, 1.0), _report(0, 5.0)])
    assert (outcome.required, outcome.found, outcome.duplicates) == (2, 2, 0)


def test_a_false_alarm_names_a_poster_a_mannequin_or_an_empty_place() -> None:
    truth = _truth("bbbb", alive=(False,))
    reports = [
        Reported(1.0, Box(500, 50, 540, 100)),
        _report(0, 2.0),
        Reported(3.0, Box(0, 200, 40, 250)),
    ]
    outcome = judge_clip(truth, reports)
    assert [a.about for a in outcome.false_alarms] == ["a poster", "a mannequin", "no person"]
    assert outcome.visits == 0


def test_a_report_long_after_the_person_left_is_false() -> None:
    outcome = judge_clip(_truth("bb----"), [Reported(5.0, Box(100, 50, 140, 100))])
    assert len(outcome.false_alarms) == 1


def test_any_report_on_footage_without_people_is_false() -> None:
    truth = msgspec.structs.replace(_truth("b"), visits=(), frames=(), fakes=())
    outcome = judge_clip(truth, [_report(0, 0.5), Reported(0.7, None)])
    assert len(outcome.false_alarms) == 2
    assert outcome.wrong


def test_a_report_without_a_box_matches_any_event_at_its_time() -> None:
    outcome = judge_clip(_truth("bbbb", "mmmm"), [Reported(1.0, None)])
    assert outcome.found == 1


def test_an_allowed_event_is_neither_required_nor_a_false_alarm() -> None:
    truth = _truth("bbbb")
    few = msgspec.structs.replace(truth, frames=truth.frames[:8])
    silent, reported = judge_clip(few, []), judge_clip(few, [_report(0, 0.5)])
    assert (silent.required, silent.missed) == (0, ())
    (alert,) = reported.alerts
    assert (alert.required, reported.false_alarms) == (False, ())


def test_a_mask_under_the_nose_is_no_event_by_default() -> None:
    outcome = judge_clip(_truth("uuuu"), [_report(0, 1.0)])
    assert outcome.required == 0
    assert [alarm.about for alarm in outcome.false_alarms] == ["p0 (under_nose)"]


def test_the_order_of_the_reports_does_not_matter() -> None:
    reports = [_report(0, 0.8), _report(0, 2.0), _report(1, 1.5)]
    outcomes = [judge_clip(_truth("bbbb", "mmmm"), list(p)) for p in permutations(reports)]
    assert all(outcome == outcomes[0] for outcome in outcomes)


@given(
    st.lists(st.tuples(st.integers(0, 2), st.floats(0, 5.9)), max_size=12),
    st.lists(st.text("bm", min_size=1, max_size=6), min_size=1, max_size=3),
)
def test_every_report_is_counted_exactly_once(sent: list[tuple[int, float]], words: list[str]) -> None:
    """Alerts, duplicates and false alarms add up to the reports; found and missed to the required."""
    outcome = judge_clip(_truth(*words), [_report(visit, at) for visit, at in sent])
    assert len(outcome.alerts) + outcome.duplicates + len(outcome.false_alarms) == len(sent)
    assert outcome.found + len(outcome.missed) == outcome.required
