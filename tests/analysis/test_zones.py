"""Zones and schedules: which rule applies where and when, also over midnight and time changes."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from maskwatch.analysis.schedule import WeeklySchedule
from maskwatch.analysis.zones import ZoneMap
from maskwatch.config.schema import CameraConfig, Schedule, Weekday, ZoneConfig, ZoneRule
from maskwatch.domain import Point
from maskwatch.secrets import SecretUrl

_NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # a Monday
_LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))
_HOLE = ((0.1, 0.1), (0.3, 0.1), (0.3, 0.3), (0.1, 0.3))


def _berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)


def _camera(*zones: ZoneConfig, schedule: Schedule | None = None) -> CameraConfig:
    return CameraConfig(
        name="c", url=SecretUrl("clip.mp4"), zones=zones, schedule=schedule or Schedule()
    )


@pytest.mark.parametrize(
    ("at", "holds"),
    [
        ("2026-03-02T07:59:59", False),
        ("2026-03-02T08:00:00", True),
        ("2026-03-02T17:59:59", True),
        ("2026-03-02T18:00:00", False),
        ("2026-03-07T12:00:00", False),  # a Saturday
        ("2026-12-25T12:00:00", False),  # a holiday
    ],
)
def test_office_hours_hold_on_working_days(at: str, holds: bool) -> None:
    hours = Schedule(
        days=(Weekday.MON, Weekday.TUE, Weekday.WED, Weekday.THU, Weekday.FRI),
        start="08:00",
        end="18:00",
        except_dates=("2026-12-25",),
    )
    assert WeeklySchedule(hours, "Europe/Berlin").holds(_berlin(at)) is holds


@pytest.mark.parametrize(
    ("at", "holds"),
    [
        ("2026-03-06T23:00:00", True),  # Friday night
        ("2026-03-07T05:59:00", True),  # still Friday's
        ("2026-03-07T06:00:00", False),
        ("2026-03-07T23:00:00", False),  # Saturday night
        ("2026-03-06T05:00:00", False),  # Thursday's, which is not listed
    ],
)
def test_a_night_belongs_to_the_day_on_which_it_began(at: str, holds: bool) -> None:
    night = Schedule(days=(Weekday.FRI,), start="22:00", end="06:00")
    assert WeeklySchedule(night, "Europe/Berlin").holds(_berlin(at)) is holds


def test_a_whole_day_lasts_until_midnight_without_a_gap() -> None:
    always = WeeklySchedule(Schedule(), "Europe/Berlin")
    assert all(
        always.holds(datetime(2026, 10, 25, h, m, 59, tzinfo=UTC)) for h in range(24) for m in (0, 59)
    )


@pytest.mark.parametrize(
    ("utc", "holds"),
    [
        # Berlin leaves summer time at 03:00 on 25 October 2026: 02:30 comes twice.
        (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), True),
        (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), True),
        (datetime(2026, 10, 25, 2, 30, tzinfo=UTC), False),
        # It enters it at 02:00 on 29 March 2026: 02:30 never comes.
        (datetime(2026, 3, 29, 0, 59, tzinfo=UTC), False),
        (datetime(2026, 3, 29, 1, 0, tzinfo=UTC), False),
    ],
)
def test_a_repeated_hour_counts_twice_and_a_skipped_one_never(utc: datetime, holds: bool) -> None:
    assert WeeklySchedule(Schedule(start="02:00", end="03:00"), "Europe/Berlin").holds(utc) is holds


def test_without_zones_a_mask_is_required_everywhere() -> None:
    state = ZoneMap(_camera()).state_at(Point(0.9, 0.9), _NOON)
    assert (state.name, state.rule) == ("", ZoneRule.REQUIRED)


def test_with_a_required_zone_people_elsewhere_are_only_counted() -> None:
    zones = ZoneMap(_camera(ZoneConfig(name="door", polygon=_LEFT, dwell=2.0)))
    inside, outside = (zones.state_at(Point(x, 0.5), _NOON) for x in (0.2, 0.8))
    assert (inside.name, inside.rule, inside.dwell) == ("door", ZoneRule.REQUIRED, 2.0)
    assert (outside.name, outside.rule) == ("", ZoneRule.COUNTED)


def test_an_ignored_zone_inside_a_required_one_wins_in_either_order() -> None:
    door = ZoneConfig(name="door", polygon=_LEFT)
    screen = ZoneConfig(name="screen", polygon=_HOLE, rule=ZoneRule.IGNORED)
    for zones in ((door, screen), (screen, door)):
        placed = ZoneMap(_camera(*zones))
        assert placed.state_at(Point(0.2, 0.2), _NOON).name == "screen"
        assert not placed.analysed(Point(0.2, 0.2))
        assert placed.analysed(Point(0.4, 0.4))


def test_a_private_zone_is_not_analysed_and_is_blackened() -> None:
    zones = ZoneMap(_camera(ZoneConfig(name="desk", polygon=_HOLE, rule=ZoneRule.PRIVATE)))
    assert not zones.analysed(Point(0.2, 0.2))
    assert [p.points[0] for p in zones.private] == [Point(0.1, 0.1)]
    assert zones.state_at(Point(0.8, 0.8), _NOON).rule is ZoneRule.REQUIRED


@pytest.mark.parametrize("of_the_camera", [True, False])
def test_out_of_hours_people_are_only_counted(of_the_camera: bool) -> None:
    morning = Schedule(start="06:00", end="10:00")
    zone = ZoneConfig(name="door", polygon=_LEFT, schedule=Schedule() if of_the_camera else morning)
    zones = ZoneMap(_camera(zone, schedule=morning if of_the_camera else Schedule()))
    assert zones.state_at(Point(0.2, 0.5), _NOON.replace(hour=9)).rule is ZoneRule.REQUIRED
    assert zones.state_at(Point(0.2, 0.5), _NOON).rule is ZoneRule.COUNTED
