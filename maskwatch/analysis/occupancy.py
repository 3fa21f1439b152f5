"""Counts people (not frames) by zone, minute and verdict."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from maskwatch.domain import OccupancyMinute, Verdict


@dataclass(slots=True)
class _ZoneCounts:
    verdicts: dict[int, Verdict] = field(default_factory=dict)
    peak: int = 0


class Occupancy:
    """The counts of the current minute of one camera."""

    def __init__(self, camera: str) -> None:
        self._camera = camera
        self._minute: datetime | None = None
        self._zones: defaultdict[str, _ZoneCounts] = defaultdict(_ZoneCounts)

    def count(self, people: dict[int, tuple[str, Verdict]], at: datetime) -> list[OccupancyMinute]:
        """Add the people in view `at` (UTC); return the rows of the minute that ended with it, by zone.

        `people` holds each one's zone and verdict by track number. A time in the past counts into the
        current minute.
        """
        finished = self._advance(at)
        for number, (zone, verdict) in people.items():
            self._zones[zone].verdicts[number] = verdict
        for zone, present in Counter(zone for zone, _ in people.values()).items():
            self._zones[zone].peak = max(self._zones[zone].peak, present)
        return finished

    def close(self) -> list[OccupancyMinute]:
        """Return the rows of the unfinished minute, and clear it."""
        rows = [self._row(zone, counts) for zone, counts in sorted(self._zones.items())]
        self._zones.clear()
        return rows

    def _advance(self, at: datetime) -> list[OccupancyMinute]:
        minute = at.replace(second=0, microsecond=0)
        if self._minute is not None and minute <= self._minute:
            return []
        finished = self.close() if self._minute is not None else []
        self._minute = minute
        return finished

    def _row(self, zone: str, counts: _ZoneCounts) -> OccupancyMinute:
        assert self._minute is not None
        verdicts = list(counts.verdicts.values())
        unknown = verdicts.count(Verdict.UNKNOWN)
        return OccupancyMinute(
            camera=self._camera,
            zone=zone,
            minute=self._minute,
            seen=len(verdicts),
            judged=len(verdicts) - unknown,
            masked=verdicts.count(Verdict.MASK),
            unmasked=verdicts.count(Verdict.NO_MASK),
            incorrect=verdicts.count(Verdict.INCORRECT),
            unknown=unknown,
            peak=counts.peak,
        )
