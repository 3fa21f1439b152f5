"""The events that must be reported, derived from the ground truth only.

This module does not use detection, tracking or evidence, so that the system is never judged by its
own output.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from maskwatch.lab.truth import PersonFrame, Truth, Wear

MIN_VISIBLE = 0.15
"""Minimum visible share of a face for the face to count as being in view."""


class Duty(StrEnum):
    """Whether an event must be reported."""

    REQUIRED = "required"  # not reporting it is a miss
    ALLOWED = "allowed"  # too short or too small to require; reporting it is no false alarm


class Ending(StrEnum):
    """Why an expected event ends."""

    LEFT = "left"
    MASKED = "masked"
    MOVED = "moved"  # the mask is now worn incorrectly in another way


@dataclass(frozen=True, slots=True)
class Rules:
    """When a face is judgeable, and which events are required.

    Attributes:
        smallest_face: minimum height of the face box in pixels of the clip.
        seconds: total judgeable time from which the event is required.
        visible: minimum visible share of the face.
        turned: maximum yaw in degrees.
        incorrect_is_violation: whether a mask under the nose or on the chin must be reported.
    """

    smallest_face: float = 32.0
    seconds: float = 1.0
    visible: float = 0.7
    turned: float = 35.0
    incorrect_is_violation: bool = False


@dataclass(frozen=True, slots=True)
class ExpectedEvent:
    """One interval of one visit without a correctly worn mask; times in seconds of the clip.

    Attributes:
        visit: index into `Truth.visits`.
        person: their name.
        duty: whether it must be reported.
        state: how the mask is worn (not at all, under the nose, on the chin).
        begins: first moment at which any part of the face is visible.
        judgeable_from: first moment at which the face is judgeable; None if there is none.
        judgeable_seconds: total time for which it is judgeable.
        ends: when the person left, or wears the mask correctly.
    """

    visit: int
    person: str
    duty: Duty
    state: Wear
    begins: float
    judgeable_from: float | None
    judgeable_seconds: float
    ends: float
    ending: Ending


_Sighting = tuple[float, PersonFrame, bool]  # seconds, person, whether the frame is damaged
_NOT_MASKED = {Wear.BARE, Wear.UNDER_NOSE, Wear.ON_CHIN}


def judgeable(person: PersonFrame, rules: Rules) -> bool:
    """Return whether a careful observer could see in this frame if a mask is worn."""
    return (
        _big_enough(person, rules.smallest_face)
        and person.visible >= rules.visible
        and abs(person.yaw) <= rules.turned
        and person.mask is not Wear.CHANGING
    )


def expected_events(truth: Truth, rules: Rules | None = None) -> tuple[ExpectedEvent, ...]:
    """Return the required and allowed events of `truth`, in order of their beginning."""
    rules = rules or Rules()
    events: list[ExpectedEvent] = []
    for number, visit in enumerate(truth.visits):
        if visit.alive:
            for interval in _intervals(_sightings(truth, number), rules):
                events += _events(truth, number, interval, rules)
    return tuple(sorted(events, key=lambda event: (event.begins, event.visit)))


def _big_enough(person: PersonFrame, height: float) -> bool:
    return person.face is not None and person.face[3] - person.face[1] >= height


def _sightings(truth: Truth, visit: int) -> list[_Sighting]:
    return [
        (frame.at, person, frame.damaged)
        for frame in truth.frames
        for person in frame.people
        if person.visit == visit
    ]


def _intervals(sightings: list[_Sighting], rules: Rules) -> list[list[_Sighting]]:
    """Return the intervals without a correctly worn mask, separated where one is worn.

    No mask and an incorrectly worn one are one interval if both must be reported, else two.
    """
    intervals: list[list[_Sighting]] = []
    previous = ""
    for sighting in sightings:
        mask = sighting[1].mask
        if mask is Wear.CHANGING:
            continue
        kind = _interval_kind(mask, rules)
        if kind and kind != previous:
            intervals.append([])
        if kind:
            intervals[-1].append(sighting)
        previous = kind
    return intervals


def _interval_kind(mask: Wear, rules: Rules) -> str:
    """Return the kind of interval that the state belongs to; "" for a correctly worn mask."""
    if mask not in _NOT_MASKED:
        return ""
    return "wrong" if rules.incorrect_is_violation else mask.value


def _events(truth: Truth, visit: int, interval: list[_Sighting], rules: Rules) -> list[ExpectedEvent]:
    """Return the interval's event; no event if it may not be reported or is not visible."""
    state = interval[0][1].mask
    if state is Wear.UNDER_NOSE and not rules.incorrect_is_violation:
        return []
    in_view = [at for at, person, _ in interval if person.face and person.visible > MIN_VISIBLE]
    if not in_view:
        return []
    step = 1 / truth.rate
    clear = [at for at, person, damaged in interval if judgeable(person, rules) and not damaged]
    must = state is Wear.BARE or rules.incorrect_is_violation
    enough = len(clear) * step >= rules.seconds
    ends, ending = _end(truth, visit, interval[-1][0])
    return [
        ExpectedEvent(
            visit=visit,
            person=truth.visits[visit].person,
            duty=Duty.REQUIRED if must and enough else Duty.ALLOWED,
            state=state,
            begins=in_view[0],
            judgeable_from=clear[0] if clear else None,
            judgeable_seconds=round(len(clear) * step, 3),
            ends=ends,
            ending=ending,
        )
    ]


def _end(truth: Truth, visit: int, last: float) -> tuple[float, Ending]:
    """Return when and why an interval ends whose last sighting is at `last`."""
    for at, person, _ in _sightings(truth, visit):
        if at > last and person.mask is not Wear.CHANGING:
            return at, Ending.MASKED if person.mask is Wear.MASKED else Ending.MOVED
    return last, Ending.LEFT
