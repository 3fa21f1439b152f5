"""Hours of the day in a time zone, as a wall clock shows them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class DailyHours:
    """From `start` until before `end`, daily, in minutes since local midnight (0 to 1440).

    Hours whose end is not after their start go past midnight. Wall-clock times follow daylight
    saving: an hour that is repeated is inside both times, one that is left out never comes.
    """

    start: int
    end: int
    zone: ZoneInfo

    @classmethod
    def parse(cls, start: str, end: str, time_zone: str) -> DailyHours:
        """Return the hours from `start` to `end`, each as ``HH:MM``, in an IANA time zone."""
        return cls(_minutes(start), _minutes(end), ZoneInfo(time_zone))

    def contains(self, at: datetime) -> bool:
        """Return whether `at` (aware) is within the hours."""
        return self.day_of(at) is not None

    def day_of(self, at: datetime) -> date | None:
        """Return the local day on which the hours around `at` (aware) began; None outside of them."""
        local = at.astimezone(self.zone)
        minute, today = local.hour * 60 + local.minute, local.date()
        if minute >= self.start:
            return today if minute < self.end or self.end <= self.start else None
        return today - timedelta(days=1) if minute < self.end <= self.start else None


def _minutes(text: str) -> int:
    hours, minutes = text.split(":")
    return min(int(hours) * 60 + int(minutes), 24 * 60)
