"""Verdicts come from sequential tests that keep their nominal error rates."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.analysis.evidence import CLIP, Evidence, EvidenceLimits
from maskwatch.config.schema import DecisionConfig
from maskwatch.domain import MaskLogits, Verdict
from tests.fakes.vision import INCORRECT, MASK, NO_MASK


def _limits(
    false_alarm_rate: float = 0.001, miss_rate: float = 0.01, *, incorrect: bool = False
) -> EvidenceLimits:
    return EvidenceLimits(
        DecisionConfig(
            false_alarm_rate=false_alarm_rate,
            miss_rate=miss_rate,
            correlation_time=0.4,
            incorrect_is_violation=incorrect,
        )
    )


_LIMITS = _limits()
_EVEN = MaskLogits(math.log(1 / 3), math.log(1 / 3), math.log(1 / 3))
_TWO = MaskLogits(math.log(0.5), math.log(0.5))
_FAR_APART = 100.0  # s: readings that do not repeat each other


def _votes(
    evidence: Evidence, logits: MaskLogits, count: int, start: float = 0.0, gap: float = 0.2
) -> float:
    moment = start
    for index in range(count):
        moment = start + index * gap
        evidence.vote(logits, moment)
    return moment


def test_three_clear_readings_within_half_a_second_decide() -> None:
    evidence = Evidence(_LIMITS, _EVEN)
    _votes(evidence, NO_MASK, 3)
    assert evidence.verdict is Verdict.NO_MASK


def test_a_single_reading_decides_nothing_however_confident_the_model_is() -> None:
    """Mutation "evidence not clipped": a quantized softmax of 0 or 255 must not become certainty."""
    evidence = Evidence(_LIMITS, _EVEN)
    evidence.vote(MaskLogits(mask=-1e9, no_mask=1e9, incorrect=-1e9), 0.0)
    assert evidence.verdict is Verdict.UNKNOWN
    assert evidence.log_ratio(Verdict.NO_MASK, Verdict.MASK) == CLIP
    assert min(_LIMITS.acceptance(v, Verdict.MASK) for v in (Verdict.NO_MASK, Verdict.INCORRECT)) > 0
    assert _LIMITS.acceptance(Verdict.NO_MASK, Verdict.MASK) > CLIP
    assert _LIMITS.acceptance(Verdict.MASK, Verdict.NO_MASK) > CLIP


def test_the_training_prior_is_subtracted_from_the_logits() -> None:
    """A model trained on nine masks to one face without answers "mask" where both are equally likely."""
    prior = MaskLogits(mask=math.log(0.9), no_mask=math.log(0.1))
    evidence = Evidence(_LIMITS, prior)
    _votes(evidence, MaskLogits(mask=math.log(0.9), no_mask=math.log(0.1)), 200, gap=_FAR_APART)
    assert evidence.log_ratio(Verdict.NO_MASK, Verdict.MASK) == pytest.approx(0.0, abs=1e-9)
    assert evidence.verdict is Verdict.UNKNOWN


def test_readings_in_quick_succession_weigh_by_the_correlation_time() -> None:
    evidence = Evidence(_LIMITS, _TWO)
    logits = MaskLogits(mask=-0.5, no_mask=0.5)
    evidence.vote(logits, 10.0)
    evidence.vote(logits, 10.2)
    expected = 1.0 + (1 - math.exp(-0.2 / 0.4))
    assert evidence.log_ratio(Verdict.NO_MASK, Verdict.MASK) == pytest.approx(expected)


def test_a_repeated_or_past_moment_has_no_weight() -> None:
    evidence = Evidence(_LIMITS, _TWO)
    for moment in (10.0, 10.0, 3.0, 9.0):
        evidence.vote(NO_MASK, moment)
    assert evidence.log_ratio(Verdict.NO_MASK, Verdict.MASK) == CLIP


def test_a_mask_that_comes_off_and_goes_on_again_changes_the_verdict() -> None:
    evidence = Evidence(_LIMITS, _EVEN)
    _votes(evidence, MASK, 10)
    assert evidence.verdict is Verdict.MASK
    last = _votes(evidence, NO_MASK, 8, start=2.0)
    assert evidence.verdict is Verdict.NO_MASK
    _votes(evidence, MASK, 8, start=last + 0.2)
    assert evidence.verdict is Verdict.MASK


def test_long_evidence_for_a_mask_does_not_delay_its_removal() -> None:
    """CUSUM ignores the time before the change; a running sum would take as long to return."""
    brief, long = Evidence(_LIMITS, _EVEN), Evidence(_LIMITS, _EVEN)
    _votes(brief, MASK, 5)
    _votes(long, MASK, 500)
    for evidence, start in ((brief, 1.0), (long, 100.0)):
        _votes(evidence, NO_MASK, 8, start=start)
        assert evidence.verdict is Verdict.NO_MASK


def test_a_few_wrong_readings_do_not_change_a_verdict() -> None:
    evidence = Evidence(_LIMITS, _EVEN)
    _votes(evidence, MASK, 5)
    _votes(evidence, NO_MASK, 3, start=1.0)
    assert evidence.verdict is Verdict.MASK
    _votes(evidence, MASK, 3, start=1.6)
    assert max(evidence.cusums.values()) < 2


def test_a_wrongly_worn_mask_is_distinguished_from_both_other_classes() -> None:
    evidence = Evidence(_LIMITS, _EVEN)
    _votes(evidence, INCORRECT, 6)
    assert evidence.verdict is Verdict.INCORRECT


def test_the_verdict_stays_unknown_while_two_classes_are_equally_likely() -> None:
    evidence = Evidence(_LIMITS, _EVEN)
    _votes(evidence, MaskLogits(mask=-3.0, no_mask=1.0, incorrect=1.0), 100)
    assert evidence.verdict is Verdict.UNKNOWN


def test_a_model_of_two_classes_never_decides_incorrect() -> None:
    evidence = Evidence(_LIMITS, _TWO)
    _votes(evidence, MaskLogits(mask=-3.0, no_mask=3.0), 5)
    assert evidence.verdict is Verdict.NO_MASK
    assert set(evidence.cusums) == {Verdict.MASK}
    assert evidence.log_ratio(Verdict.INCORRECT, Verdict.MASK) == 0.0


def test_reporting_a_wrongly_worn_mask_requires_the_evidence_of_an_alarm() -> None:
    strict = _limits(incorrect=True)
    alarm = strict.acceptance(Verdict.NO_MASK, Verdict.MASK)
    assert strict.acceptance(Verdict.INCORRECT, Verdict.MASK) == alarm
    assert _LIMITS.acceptance(Verdict.INCORRECT, Verdict.MASK) < alarm


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.1])
def test_a_lower_error_rate_requires_more_evidence(rate: float) -> None:
    lower = _limits(rate / 10)
    upper = _limits(rate)
    pair = Verdict.NO_MASK, Verdict.MASK
    assert lower.acceptance(*pair) > upper.acceptance(*pair)


@pytest.mark.parametrize(("alpha", "beta"), [(0.02, 0.05), (0.05, 0.05)])
def test_independent_readings_keep_the_nominal_error_rates(alpha: float, beta: float) -> None:
    """Wald's bound, on 2,000 people of each class with readings of known distribution."""
    rng, limits = random.Random(7), _limits(alpha, beta)
    wrong = {Verdict.MASK: 0, Verdict.NO_MASK: 0}
    for truth, mean in ((Verdict.MASK, -1.0), (Verdict.NO_MASK, 1.0)):
        for _ in range(2000):
            evidence, moment = Evidence(limits, _TWO), 0.0
            while evidence.verdict is Verdict.UNKNOWN:
                # Two normal distributions 2 apart with variance 2: the ratio is the value itself.
                evidence.vote(MaskLogits(0.0, rng.gauss(mean, math.sqrt(2.0))), moment)
                moment += _FAR_APART
            wrong[truth] += evidence.verdict is not truth
    assert wrong[Verdict.MASK] / 2000 <= 1.2 * alpha
    assert wrong[Verdict.NO_MASK] / 2000 <= 1.2 * beta


_LOGIT = st.floats(-50, 50)


@given(
    st.lists(st.tuples(st.builds(MaskLogits, _LOGIT, _LOGIT, _LOGIT), st.floats(-1e5, 1e5)), max_size=40)
)
def test_any_readings_leave_the_evidence_finite_and_consistent(
    votes: list[tuple[MaskLogits, float]],
) -> None:
    evidence = Evidence(_LIMITS, _EVEN)
    for logits, moment in votes:
        evidence.vote(logits, moment)
        assert math.isfinite(evidence.margin(evidence.verdict))
        assert 0.0 <= evidence.confidence(evidence.verdict) <= 1.0
        assert evidence.verdict not in evidence.cusums
        assert all(value >= 0 for value in evidence.cusums.values())
    assert evidence.readings == len(votes)
