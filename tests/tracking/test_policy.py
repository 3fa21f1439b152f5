"""What stands in the way of a violation."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from maskwatch.config.schema import DecisionConfig
from maskwatch.domain import MaskLogits, Verdict
from maskwatch.tracking.evidence import Evidence, Limits
from maskwatch.tracking.policy import Policy, Step
from maskwatch.tracking.still import Liveness, OwnMotion
from maskwatch.tracking.visit import Visit

_BARE = MaskLogits(mask=-4.0, no_mask=4.0)
_PRIOR = MaskLogits(mask=0.0, no_mask=0.0)


class Alive(OwnMotion):
    """A face that has moved of its own."""

    @property
    def liveness(self) -> Liveness:
        return Liveness.ALIVE


@pytest.fixture
def visit() -> Visit:
    """Somebody alive who was found to wear no mask."""
    now = datetime(2026, 5, 1, tzinfo=UTC)
    evidence = Evidence(Limits.of(DecisionConfig()), _PRIOR)
    for number in range(20):
        evidence.vote(_BARE, number * 0.5)
    assert evidence.verdict is Verdict.NO_MASK
    return Visit(1, evidence, Alive(2.0), now, 0.0, now)


def test_a_sure_bare_face_opens_a_violation(visit: Visit) -> None:
    visit.unsure.extend([False] * 15)
    assert Policy(DecisionConfig()).step(visit, 5.0) is Step.OPEN


def test_what_the_detector_was_often_unsure_of_opens_none_and_says_why(visit: Visit) -> None:
    visit.unsure.extend([False] * 11 + [True] * 4)
    policy = Policy(DecisionConfig())
    assert policy.step(visit, 5.0) is Step.NOTHING
    assert "unsure" in policy.obstacle(visit, 5.0)


def test_low_scores_of_long_ago_are_forgotten_so_that_a_mask_may_come_off(visit: Visit) -> None:
    visit.unsure.extend([True] * 50)
    visit.unsure.extend([False] * 15)
    assert Policy(DecisionConfig()).step(visit, 5.0) is Step.OPEN
