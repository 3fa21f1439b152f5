"""When evidence about a person becomes a violation, and when it stops being one."""

from __future__ import annotations

from enum import Enum, auto

from maskwatch.analysis.own_motion import Liveness
from maskwatch.analysis.visit import Visit
from maskwatch.config.schema import DecisionConfig, ZoneRule
from maskwatch.domain import Verdict

__all__ = ["Action", "Policy"]


class Action(Enum):
    """What to do about a visit at this frame."""

    NOTHING = auto()
    OPEN = auto()
    HOLD = auto()  # a violation is open and goes on
    CLOSE = auto()  # the mask is on


class Policy:
    """What the operator wants reported."""

    def __init__(self, decision: DecisionConfig) -> None:
        self._incorrect = decision.incorrect_is_violation

    def violates(self, verdict: Verdict) -> bool:
        """Return whether the verdict is one to report."""
        match verdict:
            case Verdict.NO_MASK:
                return True
            case Verdict.INCORRECT:
                return self._incorrect
            case Verdict.MASK | Verdict.UNKNOWN:
                return False

    def step(self, visit: Visit, moment: float) -> Action:
        """Return what follows for the visit at `moment`.

        An open violation goes on until the person leaves the picture or puts the mask on: walking
        into a zone with another rule, or the end of the hours, makes no second report of one visit.
        """
        violates = self.violates(visit.verdict)
        if visit.violating:
            return Action.HOLD if violates else Action.CLOSE
        return Action.OPEN if violates and not self.obstacle(visit, moment) else Action.NOTHING

    def obstacle(self, visit: Visit, moment: float) -> str:
        """Return why no violation may open here and now, in plain words; "" if it may."""
        return _no_face(visit) or _no_place(visit, moment)


def _no_face(visit: Visit) -> str:
    """Return why this is perhaps not a person who was looked in the face; "" if it is."""
    if visit.on_poster:
        return "a still face hangs in that very place (a poster?)"
    if not visit.face.enough:
        return "the detector is unsure that it is a face"
    if not visit.faced:
        return "the face was only seen turned away"
    if visit.motion.liveness is not Liveness.ALIVE:
        return "the face has shown no motion of its own (a poster?)"
    return ""


def _no_place(visit: Visit, moment: float) -> str:
    """Return why no mask is asked for here and now; "" if it is."""
    if visit.place.rule is not ZoneRule.REQUIRED:
        where = f"zone {visit.place.zone!r}" if visit.place.zone else "outside all zones"
        return f"no mask is asked for: {where} is {visit.place.rule.value} now"
    if moment - visit.place_since < visit.place.dwell:
        return f"in the zone for less than its dwell of {visit.place.dwell:g} s"
    return ""
