"""Compares the events that were reported on a clip with those that its ground truth requires.

The comparison uses only time and place of each report, neither tracks nor model outputs.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from maskwatch.domain import Box
from maskwatch.lab.evaluation.rules import Duty, ExpectedEvent, Rules, expected_events
from maskwatch.lab.truth import PersonFrame, Truth

_REPORT_DELAY = 1.5
"""Seconds after the end of an event in which a report of it still counts."""
MIN_FACE_OVERLAP = 0.25
"""Minimum overlap (IoU) of a reported box with a face for the report to be about that face."""


@dataclass(frozen=True, slots=True)
class Reported:
    """One opened violation: when (seconds of the clip) and where (pixels; None if unknown)."""

    at: float
    box: Box | None


class Missed(msgspec.Struct, frozen=True, kw_only=True):
    """A required event without a report."""

    person: str
    judgeable_from: float
    judgeable_seconds: float


class FalseAlarm(msgspec.Struct, frozen=True, kw_only=True):
    """A report that matches no expected event; `about` names who or what was there."""

    at: float
    about: str


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """A report of an expected event; `delay` is in seconds from the first judgeable face."""

    person: str
    at: float
    delay: float | None
    required: bool


class ClipOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one clip.

    Attributes:
        kind, seed, seconds: of the scene.
        rate: frames of the clip per second.
        portraits: names of the portraits that the people have.
        visits: people in the clip, without mannequins.
        required: events that had to be reported.
        alerts: expected events that were reported, once each.
        duplicates: further reports of an event that is already reported.
        missed: required events that were not reported.
        false_alarms: reports that match no expected event.

    """

    kind: str
    seed: int
    seconds: float
    rate: float
    portraits: tuple[str, ...]
    visits: int
    required: int
    alerts: tuple[Alert, ...]
    duplicates: int
    missed: tuple[Missed, ...]
    false_alarms: tuple[FalseAlarm, ...]

    @property
    def found(self) -> int:
        """Required events that were reported."""
        return sum(alert.required for alert in self.alerts)

    @property
    def wrong(self) -> bool:
        """Whether there is a miss, a duplicate or a false alarm."""
        return bool(self.missed or self.false_alarms or self.duplicates)


def judge_clip(truth: Truth, reports: list[Reported], rules: Rules | None = None) -> ClipOutcome:
    """Return the result of the clip for all reports on it."""
    expected = expected_events(truth, rules or Rules())
    first: dict[ExpectedEvent, float] = {}
    duplicates, false_alarms = 0, []
    for report in sorted(reports, key=lambda report: report.at):
        event = _event_of(truth, expected, report)
        if event is None:
            false_alarms.append(FalseAlarm(at=round(report.at, 3), about=_about(truth, report)))
        elif event in first:
            duplicates += 1
        else:
            first[event] = report.at
    return ClipOutcome(
        kind=truth.kind,
        seed=truth.seed,
        seconds=truth.seconds,
        rate=truth.rate,
        portraits=tuple(sorted({visit.portrait for visit in truth.visits if visit.alive})),
        visits=sum(visit.alive for visit in truth.visits),
        required=sum(event.duty is Duty.REQUIRED for event in expected),
        alerts=tuple(_alert(event, at) for event, at in first.items()),
        duplicates=duplicates,
        missed=tuple(
            _missed(event) for event in expected if event.duty is Duty.REQUIRED and event not in first
        ),
        false_alarms=tuple(false_alarms),
    )


def _alert(event: ExpectedEvent, at: float) -> Alert:
    delay = None if event.judgeable_from is None else round(max(0.0, at - event.judgeable_from), 3)
    required = event.duty is Duty.REQUIRED
    return Alert(person=event.person, at=round(at, 3), delay=delay, required=required)


def _missed(event: ExpectedEvent) -> Missed:
    return Missed(
        person=event.person,
        judgeable_from=event.judgeable_from or 0.0,
        judgeable_seconds=event.judgeable_seconds,
    )


def _event_of(
    truth: Truth, expected: tuple[ExpectedEvent, ...], report: Reported
) -> ExpectedEvent | None:
    """Return the expected event of the person whose face is at the report's time and place."""
    candidates = [event for event in expected if event.begins <= report.at <= event.ends + _REPORT_DELAY]
    visit = _visit_at(truth, report)
    if visit is not None:
        candidates = [event for event in candidates if event.visit == visit]
    # A report without a box (the face was hidden) may be about any person at that time.
    return min(candidates, key=lambda event: event.begins, default=None)


def _people_at(truth: Truth, at: float) -> tuple[PersonFrame, ...]:
    """Return the people in the picture; the truth of footage without people has no frames."""
    if not truth.frames:
        return ()
    return truth.frames[min(max(round(at * truth.rate), 0), len(truth.frames) - 1)].people


def _visit_at(truth: Truth, report: Reported) -> int | None:
    """Return the visit of the face at the report's box; -1 if there is none; None without a box."""
    if report.box is None:
        return None
    overlaps = [
        (report.box.iou(Box(*person.face)), person.visit)
        for person in _people_at(truth, report.at)
        if person.face is not None
    ]
    best = max(overlaps, default=(0.0, -1))
    return best[1] if best[0] >= MIN_FACE_OVERLAP else -1


def _about(truth: Truth, report: Reported) -> str:
    """Describe what is at the place of a false alarm."""
    visit = _visit_at(truth, report)
    if visit is not None and visit >= 0:
        states = [p.mask.value for p in _people_at(truth, report.at) if p.visit == visit]
        name = truth.visits[visit].person
        return f"{name} ({states[0]})" if truth.visits[visit].alive else "a mannequin"
    for fake in truth.fakes:
        if report.box is not None and report.box.iou(Box(*fake.box)) >= MIN_FACE_OVERLAP:
            return f"a {fake.kind}"
    return "no person" if report.box is not None else "a person who is not visible"
