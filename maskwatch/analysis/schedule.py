"""When a rule holds: days, hours and holidays in the camera's own time zone."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from maskwatch.config.schema import Schedule, Weekday

__all__ = ["WeeklySchedule"]

_DAYS = tuple(Weekday)
_WHOLE_DAY = 24 * 60


class WeeklySchedule:
    """A schedule of the configuration, ready to be asked.

    Wall-clock times are meant as a person reads them off the wall: an hour that daylight saving
    repeats belongs to the schedule both times, one that it leaves out never comes. A stretch past
    midnight belongs to the day, and the holiday, on which it began.
    """

    def __init__(self, schedule: Schedule, time_zone: str) -> None:
        self._zone = ZoneInfo(time_zone)
        self._days = frozenset(_DAYS.index(day) for day in schedule.days)
        self._start, self._end = _minutes(schedule.start), _minutes(schedule.end)
        self._holidays = frozenset(date.fromisoformat(text) for text in schedule.except_dates)

    def holds(self, at: datetime) -> bool:
        """Return whether the rule holds `at` (aware)."""
        local = at.astimezone(self._zone)
        minute, today = local.hour * 60 + local.minute, local.date()
        if self._start < self._end:
            return self._start <= minute < self._end and self._counts(today)
        if minute >= self._start:
            return self._counts(today)
        return minute < self._end and self._counts(today - timedelta(days=1))

    def _counts(self, day: date) -> bool:
        return day.weekday() in self._days and day not in self._holidays


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return min(int(hours) * 60 + int(minutes), _WHOLE_DAY)
