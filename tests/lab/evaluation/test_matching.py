"""How reported visits are set against those that were due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from maskwatch.lab.evaluation.matching import Account, DueVisit, ReportedVisit, balance, due_visits
from maskwatch.lab.evaluation.rules import Duty, Ending, ExpectedEvent
from maskwatch.lab.truth import Wear

_START = datetime(2026, 5, 1, 8, tzinfo=UTC)


def _at(seconds: float) -> datetime:
    return _START + timedelta(seconds=seconds)


def _due(begins: float, ends: float, *, camera: str = "hall", must: bool = True) -> DueVisit:
    return DueVisit(camera, "somebody", _at(begins), _at(ends), must)


def _report(at: float, *, camera: str = "hall") -> ReportedVisit:
    return ReportedVisit(camera, f"{camera}-{at}", _at(at))


def test_a_visit_reported_once_in_its_time_balances() -> None:
    account = balance([_due(2, 8)], [_report(4)])
    assert account.exact
    assert len(account.found) == 1


def test_a_visit_without_a_report_is_missed() -> None:
    account = balance([_due(2, 8)], [])
    assert not account.exact
    assert account.missed == (_due(2, 8),)


def test_a_second_report_of_one_visit_is_surplus() -> None:
    account = balance([_due(2, 8)], [_report(4), _report(6)])
    assert not account.exact
    assert account.surplus == (_report(6),)


def test_a_report_of_another_camera_is_surplus() -> None:
    account = balance([_due(2, 8)], [_report(4, camera="entrance")])
    assert account.surplus
    assert account.missed


def test_a_report_long_after_the_visit_is_surplus() -> None:
    assert balance([_due(2, 8)], [_report(10)]).surplus


def test_a_visit_too_short_to_insist_on_may_be_reported_or_not() -> None:
    short = _due(2, 3, must=False)
    assert balance([short], []).exact
    assert balance([short], [_report(2.5)]).exact


def test_each_report_matches_one_of_two_simultaneous_visits() -> None:
    assert balance([_due(0, 9), _due(1, 6)], [_report(3), _report(5)]).exact


def test_clip_seconds_become_wall_time() -> None:
    event = ExpectedEvent(0, "ann", Duty.REQUIRED, Wear.BARE, 1.5, 2.0, 3.0, 7.5, Ending.LEFT)
    (visit,) = due_visits("hall", [event], _START)
    assert (visit.begins, visit.ends, visit.must) == (_at(1.5), _at(7.5), True)


@given(
    spans=st.lists(st.tuples(st.floats(0, 100), st.floats(0, 20), st.booleans()), max_size=6),
    times=st.lists(st.floats(0, 120), max_size=8, unique=True),
)
def test_every_report_and_every_due_visit_is_accounted_for_once(
    spans: list[tuple[float, float, bool]], times: list[float]
) -> None:
    due = [_due(start, start + length, must=must) for start, length, must in spans]
    reports = [_report(at) for at in times]
    account: Account = balance(due, reports)
    assert len(account.found) + len(account.surplus) == len(reports)
    required = sum(visit.must for visit in due)
    assert sum(visit.must for visit, _ in account.found) + len(account.missed) == required
    assert all(visit.covers(report) for visit, report in account.found)
