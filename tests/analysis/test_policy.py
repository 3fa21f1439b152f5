"""What keeps a violation from opening."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from maskwatch.analysis.evidence import Evidence, EvidenceLimits
from maskwatch.analysis.face_confidence import FaceConfidence
from maskwatch.analysis.own_motion import Liveness, MotionEvidence
from maskwatch.analysis.policy import Action, Policy
from maskwatch.analysis.trail import Sight, Trail
from maskwatch.analysis.visit import Visit
from maskwatch.config.schema import DecisionConfig
from maskwatch.domain import Box, MaskLogits, Verdict

_NO_MASK = MaskLogits(mask=-4.0, no_mask=4.0)
_PRIOR = MaskLogits(mask=0.0, no_mask=0.0)


class _Alive(MotionEvidence):
    """Evidence of a face that has shown motion of its own."""

    @property
    def liveness(self) -> Liveness:
        return Liveness.ALIVE


@pytest.fixture
def visit() -> Visit:
    """A living person with the verdict NO_MASK."""
    now = datetime(2026, 5, 1, tzinfo=UTC)
    evidence = Evidence(EvidenceLimits(DecisionConfig()), _PRIOR)
    for number in range(20):
        evidence.vote(_NO_MASK, number * 0.5)
    assert evidence.verdict is Verdict.NO_MASK
    sight = Sight(Box(0, 0, 40, 48), 0.0)
    trail = Trail(sight, sight)
    return Visit(1, evidence, FaceConfidence(0.4), _Alive(2.0), now, 0.0, now, trail, seen_frontal=True)


def _seen(visit: Visit, *scores: float) -> None:
    for number, score in enumerate(scores):
        visit.face_confidence.observe(score, number / 5)


def test_a_confident_face_without_a_mask_opens_a_violation(visit: Visit) -> None:
    _seen(visit, 0.88, 0.88)
    assert Policy(DecisionConfig()).decide(visit, 5.0) is Action.OPEN


def test_a_person_seen_only_turned_away_is_not_reported(visit: Visit) -> None:
    """Turned faces may add evidence, but the face must have been seen from the front once."""
    visit.seen_frontal = False
    _seen(visit, *[0.9] * 10)
    policy = Policy(DecisionConfig())
    assert policy.decide(visit, 5.0) is Action.NOTHING
    assert "turned away" in policy.obstacle(visit, 5.0)


def test_wavering_scores_open_no_violation_and_give_the_reason(visit: Visit) -> None:
    """Scores that shelves, signs and folds of cloth get in photographs, for any length of time."""
    _seen(visit, *(0.62, 0.74, 0.55, 0.71, 0.48, 0.76) * 20)
    policy = Policy(DecisionConfig())
    assert policy.decide(visit, 5.0) is Action.NOTHING
    assert "unsure that it is a face" in policy.obstacle(visit, 5.0)


def test_earlier_low_scores_do_not_delay_the_report_of_a_removed_mask(visit: Visit) -> None:
    """They delay it by at most the second and a half that the mask's own evidence takes."""
    _seen(visit, *[0.45] * 50, *[0.9] * 8)
    assert Policy(DecisionConfig()).decide(visit, 5.0) is Action.OPEN
