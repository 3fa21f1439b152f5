"""Matches alerts with the ground truth: each visit without a mask must be reported exactly once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from maskwatch.lab.evaluation.rules import Duty, ExpectedEvent

# A report's time must lie between the visit's first and last sight. Capture stamps frames on arrival,
# so network and decoding may add this much at both ends.
_SLACK = timedelta(seconds=1.0)


@dataclass(frozen=True, slots=True)
class DueVisit:
    """A visit without a mask that must (`must`) or may be reported; in wall-clock time."""

    camera: str
    person: str
    begins: datetime
    ends: datetime
    must: bool

    def covers(self, report: ReportedVisit) -> bool:
        """Return whether the report can be about this visit."""
        return self.camera == report.camera and self.begins - _SLACK <= report.at <= self.ends + _SLACK


@dataclass(frozen=True, slots=True)
class ReportedVisit:
    """An opened violation: its camera and the time of the frame that decided it."""

    camera: str
    id: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Matching:
    """Visits found with their reports, visits missed, and reports without a visit."""

    found: tuple[tuple[DueVisit, ReportedVisit], ...]
    missed: tuple[DueVisit, ...]
    surplus: tuple[ReportedVisit, ...]

    @property
    def exact(self) -> bool:
        """Whether the reports are exactly the visits that had to be reported."""
        return not self.missed and not self.surplus


def due_visits(
    camera: str, events: Iterable[ExpectedEvent], began: datetime, stretch: float = 1.0
) -> list[DueVisit]:
    """Return one camera's events in wall-clock time; its clip began at `began` (UTC).

    `stretch` is how many times longer than in the clip everything took.
    """
    return [
        DueVisit(
            camera,
            event.person,
            began + timedelta(seconds=event.begins * stretch),
            began + timedelta(seconds=event.ends * stretch),
            event.duty is Duty.REQUIRED,
        )
        for event in events
    ]


def match_reports(due: Sequence[DueVisit], reports: Iterable[ReportedVisit]) -> Matching:
    """Pair each report, in order of time, with the first visit in its range that has no report yet.

    Visits that must be reported come first. A second report of one visit is surplus.
    """
    unmatched = sorted(due, key=lambda visit: (not visit.must, visit.ends))
    found: list[tuple[DueVisit, ReportedVisit]] = []
    surplus: list[ReportedVisit] = []
    for report in sorted(reports, key=lambda report: report.at):
        visit = next((visit for visit in unmatched if visit.covers(report)), None)
        if visit is None:
            surplus.append(report)
        else:
            unmatched.remove(visit)
            found.append((visit, report))
    return Matching(tuple(found), tuple(visit for visit in unmatched if visit.must), tuple(surplus))
