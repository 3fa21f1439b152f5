"""People with an open violation who are lost from sight, and the tracks as which they come back.

A violation belongs to a person, not to a track. A track ends when somebody turns away, sits down or is
hidden for some seconds. The person is awaited for longer, and a face that appears where they can be,
in their size, continues their violation. Nothing else of a face is compared.

Two faces seen in one frame are never one person. Where a new face can also be somebody who was not
reported, it counts as new: a second report is a smaller fault than a person who is never reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from maskwatch.analysis.visit import Visit
from maskwatch.domain import Verdict


class LostPeople:
    """The visits with an open violation whose tracks ended, until they return or are given up.

    `reassociate`: seconds after which a person who left by the picture's edge is gone.
    """

    def __init__(self, reassociate: float) -> None:
        self._reassociate = reassociate
        self._lost: list[Visit] = []
        self._size = (0, 0)

    def resize(self, size: tuple[int, int]) -> None:
        """Set the (width, height) of the full picture."""
        self._size = size

    def add(self, visit: Visit) -> None:
        self._lost.append(visit)

    def give_up(self, moment: float) -> list[Visit]:
        """Return those who are gone by `moment` (seconds), and forget them."""
        gone = [visit for visit in self._lost if self._is_gone(visit, moment)]
        self._lost = [visit for visit in self._lost if visit not in gone]
        return gone

    def clear(self) -> list[Visit]:
        """Return all of them, and forget them."""
        gone, self._lost = self._lost, []
        return gone

    def find(self, visit: Visit, in_view: Iterable[Visit]) -> Visit | None:
        """Return the person, hidden now, whose violation a new face continues; None if it is uncertain.

        `in_view` are the visits of all confirmed tracks, coasting ones included.
        """
        others = [one for one in (*in_view, *self._lost) if one is not visit and _is_person(one)]
        now = visit.trail.last.moment
        hidden = [one for one in others if one.trail.last.moment < now]
        known = [one for one in hidden if one.violating and self._may_be(one, visit, others)]
        if not known:
            return None
        person = min(known, key=lambda one: one.trail.distance(visit.trail))
        return None if self._is_doubtful(person, visit, others, len(known)) else person

    def take(self, visit: Visit) -> None:
        """Forget a person who returned."""
        self._lost = [one for one in self._lost if one is not visit]

    def forget(self, number: int) -> None:
        """Forget with whom the track `number` was seen: it ended."""
        for visit in self._lost:
            visit.trail.beside.discard(number)

    def _is_doubtful(self, person: Visit, visit: Visit, others: Sequence[Visit], known: int) -> bool:
        """Return whether the face can be an unreported person's, or the person somebody else in view."""
        now = visit.trail.last.moment
        unreported = [one for one in others if not one.violating and one.verdict is not Verdict.MASK]
        hidden = [one for one in unreported if one.trail.last.moment < now]
        shown = [one for one in unreported if one.trail.last.moment == now]
        if any(self._may_be(one, visit, others) and not self._near(person, one) for one in hidden):
            return True
        return sum(self._may_be(person, one, others) for one in shown) >= known

    def _may_be(self, person: Visit, visit: Visit, others: Sequence[Visit]) -> bool:
        """Return whether a person hidden now can be the face of `visit`."""
        rest = [one for one in others if one is not person and one is not visit]
        alone = not any(self._interferes(one, person, visit) for one in rest)
        return person.trail.may_return_as(visit.number, visit.trail, self._size, alone=alone)

    def _interferes(self, other: Visit, person: Visit, visit: Visit) -> bool:
        """Return whether somebody else was near the place of one of two who may be the same."""
        near = other.trail.is_near(person.trail) or other.trail.is_near(visit.trail)
        return near and not self._near(person, other)

    def _near(self, person: Visit, visit: Visit) -> bool:
        """Return whether `visit` can be the person however many others are in view."""
        return person.trail.may_return_as(visit.number, visit.trail, self._size, alone=False)

    def _is_gone(self, visit: Visit, moment: float) -> bool:
        patience = visit.trail.patience(self._size, self._reassociate)
        return moment - visit.trail.last.moment > patience


def _is_person(visit: Visit) -> bool:
    return not visit.still and visit.face_confidence.sufficient
