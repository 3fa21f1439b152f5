"""What a guard would report, from the ground truth alone.

This module knows nothing of detection, tracking or evidence, so that the system is never judged
by its own output.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from maskwatch.lab.truth import PersonFrame, Truth, Wear

__all__ = ["Duty", "Ending", "ExpectedEvent", "Rules", "expected_events", "judgeable"]


class Duty(StrEnum):
    """Whether an event must be reported."""

    REQUIRED = "required"  # missing it is a miss
    ALLOWED = "allowed"  # too short or too small to insist on; reporting it is no false alarm


class Ending(StrEnum):
    """Why an expected event ends."""

    LEFT = "left"
    MASKED = "masked"
    MOVED = "moved"  # the mask now sits in another wrong way


@dataclass(frozen=True, slots=True)
class Rules:
    """When a face can be judged, and what of it is asked for.

    Attributes:
        smallest_face: height of the face box in pixels of the clip.
        seconds: how long in total the bare face must be judgeable before it must be reported.
        visible: least share of the face in view.
        turned: most degrees of turning.
        incorrect_is_violation: whether a mask under the nose or on the chin must be reported.
    """

    smallest_face: float = 32.0
    seconds: float = 1.0
    visible: float = 0.7
    turned: float = 35.0
    incorrect_is_violation: bool = False


@dataclass(frozen=True, slots=True)
class ExpectedEvent:
    """One stretch of one visit without the mask that was asked for; seconds of the clip.

    Attributes:
        visit: index into `Truth.visits`.
        person: their name.
        duty: whether it must be reported.
        state: how the mask sat (bare, under the nose, on the chin).
        begins: when anything of the bare face was first to be seen.
        judgeable_from: first moment at which a careful eye could judge it; None if there is none.
        judgeable_seconds: how long in total it could be judged.
        ends: when the person had left, or had put the mask on.
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


_Sighting = tuple[float, PersonFrame, bool]  # seconds, who, frame damaged
_WRONG = {Wear.BARE, Wear.UNDER_NOSE, Wear.ON_CHIN}


def judgeable(person: PersonFrame, rules: Rules) -> bool:
    """Return whether a careful eye could tell in this frame if a mask is worn."""
    return (
        _big_enough(person, rules.smallest_face)
        and person.visible >= rules.visible
        and abs(person.yaw) <= rules.turned
        and person.mask is not Wear.CHANGING
    )


def expected_events(truth: Truth, rules: Rules | None = None) -> tuple[ExpectedEvent, ...]:
    """Return the events that `truth` asks for or allows, in order of their beginning."""
    rules = rules or Rules()
    events: list[ExpectedEvent] = []
    for number, visit in enumerate(truth.visits):
        if visit.alive:
            for spell in _spells(_sightings(truth, number), rules):
                events += _events(truth, number, spell, rules)
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


def _spells(sightings: list[_Sighting], rules: Rules) -> list[list[_Sighting]]:
    """Return the stretches without a proper mask, parted where a mask was worn properly.

    Bare and badly worn are one stretch when neither or both must be reported; else two.
    """
    spells: list[list[_Sighting]] = []
    before: str = ""
    for sighting in sightings:
        mask = sighting[1].mask
        if mask is Wear.CHANGING:
            continue
        now = _sort(mask, rules)
        if now and now != before:
            spells.append([])
        if now:
            spells[-1].append(sighting)
        before = now
    return spells


def _sort(mask: Wear, rules: Rules) -> str:
    """Return "" for a proper mask; else the kind of stretch that this state belongs to."""
    if mask not in _WRONG:
        return ""
    return "wrong" if rules.incorrect_is_violation else mask.value


def _events(truth: Truth, visit: int, spell: list[_Sighting], rules: Rules) -> list[ExpectedEvent]:
    """Return the stretch's event, or nothing when it may not be reported or is not to be seen."""
    state = spell[0][1].mask
    if state is Wear.UNDER_NOSE and not rules.incorrect_is_violation:
        return []
    glimpses = [at for at, person, _ in spell if person.face and person.visible > 0.15]
    if not glimpses:
        return []
    step = 1 / truth.rate
    clear = [at for at, person, damaged in spell if judgeable(person, rules) and not damaged]
    must = state is Wear.BARE or rules.incorrect_is_violation
    enough = len(clear) * step >= rules.seconds
    ends, ending = _end(truth, visit, spell[-1][0])
    return [
        ExpectedEvent(
            visit=visit,
            person=truth.visits[visit].person,
            duty=Duty.REQUIRED if must and enough else Duty.ALLOWED,
            state=state,
            begins=glimpses[0],
            judgeable_from=clear[0] if clear else None,
            judgeable_seconds=round(len(clear) * step, 3),
            ends=ends,
            ending=ending,
        )
    ]


def _end(truth: Truth, visit: int, last: float) -> tuple[float, Ending]:
    """Return when and why a stretch ends whose last moment is `last`."""
    for at, person, _ in _sightings(truth, visit):
        if at > last and person.mask is not Wear.CHANGING:
            return at, Ending.MASKED if person.mask is Wear.MASKED else Ending.MOVED
    return last, Ending.LEFT
