"""Hours of the day: their bounds, past midnight, and over a change of the clocks."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.domain import DailyHours

_TIMES = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "end", "time", "inside"),
    [
        ("12:00", "14:00", "11:59", False),
        ("12:00", "14:00", "12:00", True),
        ("12:00", "14:00", "13:59", True),
        ("12:00", "14:00", "14:00", False),
        ("22:00", "06:00", "21:59", False),
        ("22:00", "06:00", "23:00", True),
        ("22:00", "06:00", "05:59", True),
        ("22:00", "06:00", "06:00", False),
        ("00:00", "24:00", "23:59", True),
        ("08:00", "08:00", "07:59", True),
        ("08:00", "08:00", "08:00", True),
    ],
)
def test_hours_include_their_start_and_not_their_end(
    start: str, end: str, time: str, inside: bool
) -> None:
    assert DailyHours.parse(start, end, "UTC").contains(_at(f"2026-03-01T{time}:30")) is inside


def test_hours_past_midnight_belong_to_the_day_on_which_they_began() -> None:
    night = DailyHours.parse("22:00", "06:00", "UTC")
    assert night.day_of(_at("2026-03-06T23:00")) == date(2026, 3, 6)
    assert night.day_of(_at("2026-03-07T05:00")) == date(2026, 3, 6)
    assert night.day_of(_at("2026-03-07T07:00")) is None


@pytest.mark.parametrize(
    ("at", "inside"),
    [
        ("2026-03-28T04:30", True),  # 05:30 CET
        ("2026-03-29T04:30", False),  # 06:30 CEST
    ],
)
def test_hours_are_local_and_follow_daylight_saving(at: str, inside: bool) -> None:
    assert DailyHours.parse("22:00", "06:00", "Europe/Berlin").contains(_at(at)) is inside


@given(start=_TIMES, end=_TIMES, seconds=st.integers(0, 4_000_000_000))
def test_a_moment_is_in_hours_or_in_their_complement(start: str, end: str, seconds: int) -> None:
    hours, complement = (DailyHours.parse(*each, "UTC") for each in ((start, end), (end, start)))
    moment = datetime.fromtimestamp(seconds, UTC)
    assert hours.contains(moment) is not complement.contains(moment) or start == end
