"""When a verdict becomes a violation, and when a violation ends."""

from __future__ import annotations

from enum import Enum, auto

from maskwatch.analysis.liveness import person_obstacle
from maskwatch.analysis.visit import Visit
from maskwatch.config.schema import DecisionConfig, ZoneRule
from maskwatch.domain import Verdict


class Action(Enum):
    """What to do about a visit in this frame."""

    NOTHING = auto()
    OPEN = auto()
    UPDATE = auto()  # a violation is open and goes on
    CLOSE = auto()  # the person put a mask on


class Policy:
    """The operator's rules about verdicts, zones and dwell."""

    def __init__(self, decision: DecisionConfig) -> None:
        self._report_incorrect = decision.incorrect_is_violation

    def is_violation(self, verdict: Verdict) -> bool:
        match verdict:
            case Verdict.NO_MASK:
                return True
            case Verdict.INCORRECT:
                return self._report_incorrect
            case Verdict.MASK | Verdict.UNKNOWN:
                return False

    def decide(self, visit: Visit, moment: float) -> Action:
        """Return what to do about the visit at `moment` (seconds).

        An open violation goes on until the person leaves the picture or puts a mask on. Entering a
        zone with another rule, or the end of the hours, causes no second report of one visit.
        """
        violation = self.is_violation(visit.verdict)
        if visit.violating:
            return Action.UPDATE if violation else Action.CLOSE
        return Action.OPEN if violation and not self.obstacle(visit, moment) else Action.NOTHING

    def obstacle(self, visit: Visit, moment: float) -> str:
        """Return why no violation may open here and now, in plain words; "" if it may."""
        return person_obstacle(visit) or _zone_obstacle(visit, moment)


def _zone_obstacle(visit: Visit, moment: float) -> str:
    """Return why no mask is required here and now; "" if it is."""
    zone = visit.zone
    if zone.rule is not ZoneRule.REQUIRED:
        where = f"zone {zone.name!r}" if zone.name else "the place outside all zones"
        rule = "outside its hours" if zone.off_hours else zone.rule.value
        return f"no mask is required: {where} is {rule} now"
    if moment - visit.zone_since < zone.dwell:
        return f"in the zone for less than its dwell of {zone.dwell:g} s"
    return ""
