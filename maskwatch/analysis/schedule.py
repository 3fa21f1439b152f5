"""When a rule holds: days, hours and holidays in the camera's own time zone."""

from __future__ import annotations

from datetime import date, datetime

from maskwatch.config.schema import Schedule, Weekday
from maskwatch.domain import DailyHours

_DAYS = tuple(Weekday)


class WeeklySchedule:
    """Evaluates a schedule of the configuration.

    Hours past midnight belong to the day, and the holiday, on which they began.
    """

    def __init__(self, schedule: Schedule, time_zone: str) -> None:
        self._hours = DailyHours.parse(schedule.start, schedule.end, time_zone)
        self._days = frozenset(_DAYS.index(day) for day in schedule.days)
        self._holidays = frozenset(date.fromisoformat(text) for text in schedule.except_dates)

    def holds(self, at: datetime) -> bool:
        day = self._hours.day_of(at)
        return day is not None and day.weekday() in self._days and day not in self._holidays
