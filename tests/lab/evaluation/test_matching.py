"""Each report is matched with at most one visit that must or may be reported."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from maskwatch.lab.evaluation.matching import (
    DueVisit,
    Matching,
    ReportedVisit,
    due_visits,
    match_reports,
)
from maskwatch.lab.evaluation.rules import Duty, Ending, ExpectedEvent
from maskwatch.lab.truth import Wear

_START = datetime(2026, 5, 1, 8, tzinfo=UTC)


def _at(seconds: float) -> datetime:
    return _START + timedelta(seconds=seconds)


def _due(begins: float, ends: float, *, camera: str = "hall", must: bool = True) -> DueVisit:
    return DueVisit(camera, "ann", _at(begins), _at(ends), must)


def _report(at: float, *, camera: str = "hall") -> ReportedVisit:
    return ReportedVisit(camera, f"{camera}-{at}", _at(at))


def test_a_visit_reported_once_in_its_time_is_found() -> None:
    matching = match_reports([_due(2, 8)], [_report(4)])
    assert matching.exact
    assert len(matching.found) == 1


def test_a_visit_without_a_report_is_missed() -> None:
    matching = match_reports([_due(2, 8)], [])
    assert not matching.exact
    assert matching.missed == (_due(2, 8),)


def test_a_second_report_of_one_visit_is_surplus() -> None:
    matching = match_reports([_due(2, 8)], [_report(4), _report(6)])
    assert not matching.exact
    assert matching.surplus == (_report(6),)


def test_a_report_of_another_camera_is_surplus() -> None:
    matching = match_reports([_due(2, 8)], [_report(4, camera="entrance")])
    assert matching.surplus
    assert matching.missed


def test_a_report_long_after_the_visit_is_surplus() -> None:
    assert match_reports([_due(2, 8)], [_report(10)]).surplus


def test_an_optional_visit_may_be_reported_or_not() -> None:
    short = _due(2, 3, must=False)
    assert match_reports([short], []).exact
    assert match_reports([short], [_report(2.5)]).exact


def test_reports_of_overlapping_visits_match_one_visit_each() -> None:
    assert match_reports([_due(0, 9), _due(1, 6)], [_report(3), _report(5)]).exact


def test_clip_seconds_become_wall_time() -> None:
    event = ExpectedEvent(0, "ann", Duty.REQUIRED, Wear.BARE, 1.5, 2.0, 3.0, 7.5, Ending.LEFT)
    (visit,) = due_visits("hall", [event], _START)
    assert (visit.begins, visit.ends, visit.must) == (_at(1.5), _at(7.5), True)


@given(
    spans=st.lists(st.tuples(st.floats(0, 100), st.floats(0, 20), st.booleans()), max_size=6),
    times=st.lists(st.floats(0, 120), max_size=8, unique=True),
)
def test_every_report_and_every_required_visit_is_counted_once(
    spans: list[tuple[float, float, bool]], times: list[float]
) -> None:
    due = [_due(start, start + length, must=must) for start, length, must in spans]
    reports = [_report(at) for at in times]
    matching: Matching = match_reports(due, reports)
    assert len(matching.found) + len(matching.surplus) == len(reports)
    required = sum(visit.must for visit in due)
    assert sum(visit.must for visit, _ in matching.found) + len(matching.missed) == required
    assert all(visit.covers(report) for visit, report in matching.found)
