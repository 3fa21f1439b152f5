"""A verdict about a person from many readings: sequential tests instead of a number of frames.

While nothing is decided, every pair of classes has a sequential probability ratio test (Wald
1945; for more than two classes as by Armitage 1950): a class is accepted when it beats each other
one. After a verdict, a CUSUM (Page 1954) for each other class watches for the mask that comes off
or on. What enters is the log-likelihood ratio: the calibrated logits' difference less the
training prior's, clipped, since no single picture may decide alone, and weighted by
1 - exp(-dt / tau), since pictures in quick succession repeat each other.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from maskwatch.config.schema import DecisionConfig
from maskwatch.domain import MaskLogits, Verdict

__all__ = ["CLIP", "Evidence", "EvidenceLimits"]

CLIP = 4.0
"""Most nats that one reading may say about a pair; less than any useful threshold."""

_CLASSES = (Verdict.NO_MASK, Verdict.MASK, Verdict.INCORRECT)
_PAIRS = tuple(combinations(_CLASSES, 2))
_CONFUSION = 0.05
"""Nominal error rate between classes where a mistake neither alarms about a mask nor misses one."""

_CHANGE_FACTOR = 1.5
_MOST = 30.0  # nats; more would only say "certain" in more digits

Pair = tuple[Verdict, Verdict]


@dataclass(frozen=True, slots=True)
class EvidenceLimits:
    """The evidence that each decision asks for.

    Attributes:
        false_alarm_rate: nominal share of masked people reported (Wald's alpha).
        miss_rate: nominal share of unmasked people missed (Wald's beta).
        correlation_time: seconds over which readings repeat themselves (tau).
        incorrect_is_violation: whether a wrongly worn mask is reported.

    """

    false_alarm_rate: float
    miss_rate: float
    correlation_time: float
    incorrect_is_violation: bool = False

    @classmethod
    def of(cls, decision: DecisionConfig) -> EvidenceLimits:
        """Return the limits that the configuration sets."""
        return cls(
            decision.false_alarm_rate,
            decision.miss_rate,
            decision.correlation_time,
            decision.incorrect_is_violation,
        )

    def accept(self, verdict: Verdict, over: Verdict) -> float:
        """Return the log-likelihood ratio at which `verdict` is accepted over the other class."""
        alpha, beta = self.false_alarm_rate, self.miss_rate
        if over is Verdict.MASK and self._alarms(verdict):
            return math.log((1 - beta) / alpha)
        if verdict is Verdict.MASK and self._alarms(over):
            return math.log((1 - alpha) / beta)
        return math.log((1 - _CONFUSION) / _CONFUSION)

    def change(self, verdict: Verdict, over: Verdict) -> float:
        """Return the CUSUM at which a verdict gives way; higher, since it is asked again and again."""
        return _CHANGE_FACTOR * self.accept(verdict, over)

    def _alarms(self, verdict: Verdict) -> bool:
        return verdict is Verdict.NO_MASK or (
            verdict is Verdict.INCORRECT and self.incorrect_is_violation
        )


class Evidence:
    """What the readings of one person say so far.

    Args:
        limits: when it is enough.
        prior: logarithms of the training shares; a class that it leaves out is never decided.

    """

    __slots__ = ("_changes", "_limits", "_prior", "_ratios", "_voted_at", "readings", "verdict")

    def __init__(self, limits: EvidenceLimits, prior: MaskLogits) -> None:
        self._limits, self._prior = limits, prior
        self._ratios: dict[Pair, float] = {pair: 0.0 for pair in _PAIRS if _known(pair, prior)}
        self._changes: dict[Verdict, float] = {}
        self._voted_at: float | None = None
        self.verdict = Verdict.UNKNOWN
        self.readings = 0

    def vote(self, logits: MaskLogits, moment: float) -> Verdict:
        """Take in the reading of a frame that matched a detection; return the verdict now.

        Args:
            logits: calibrated class scores; a reading without any does not come here.
            moment: seconds of the frame; one that goes back counts as no time passed.

        """
        weight = self._weight(moment)
        steps = {pair: weight * self._ratio(logits, pair) for pair in self._ratios}
        for pair, step in steps.items():
            self._ratios[pair] = min(max(self._ratios[pair] + step, -_MOST), _MOST)
        self.readings += 1
        if self.verdict is Verdict.UNKNOWN:
            self._decide()
        else:
            self._watch(steps)
        return self.verdict

    def over(self, verdict: Verdict, other: Verdict) -> float:
        """Return the accumulated log-likelihood ratio of one class over another, in nats."""
        return _of(self._ratios, verdict, other)

    def behind(self, verdict: Verdict) -> float:
        """Return the least accumulated ratio of `verdict` over each other class; 0 for UNKNOWN."""
        rivals = self._rivals(verdict)
        return min((self.over(verdict, other) for other in rivals), default=0.0)

    def confidence(self, verdict: Verdict) -> float:
        """Return the posterior probability of `verdict` when all classes are equally likely at first."""
        odds = sum(math.exp(-self.over(verdict, other)) for other in self._rivals(verdict))
        return 1 / (1 + odds) if verdict is not Verdict.UNKNOWN else 0.0

    @property
    def changes(self) -> Mapping[Verdict, float]:
        """The CUSUM of each class that could replace the verdict, in nats."""
        return self._changes

    def _rivals(self, verdict: Verdict) -> list[Verdict]:
        return [b if a is verdict else a for a, b in self._ratios if verdict in (a, b)]

    def _weight(self, moment: float) -> float:
        if self._voted_at is None:
            self._voted_at = moment
            return 1.0
        seconds = max(0.0, moment - self._voted_at)
        self._voted_at = max(moment, self._voted_at)
        return 1.0 - math.exp(-seconds / self._limits.correlation_time)

    def _ratio(self, logits: MaskLogits, pair: Pair) -> float:
        first, second = pair
        said = _score(logits, first) - _score(logits, second)
        expected = _score(self._prior, first) - _score(self._prior, second)
        return min(max(said - expected, -CLIP), CLIP)

    def _decide(self) -> None:
        for verdict in _CLASSES:
            rivals = self._rivals(verdict)
            if rivals and all(
                self.over(verdict, other) >= self._limits.accept(verdict, other) for other in rivals
            ):
                self._settle(verdict)
                return

    def _watch(self, steps: Mapping[Pair, float]) -> None:
        for other in self._changes:
            self._changes[other] = max(0.0, self._changes[other] + _of(steps, other, self.verdict))
        likeliest = max(self._changes, key=lambda other: self._changes[other])
        if self._changes[likeliest] >= self._limits.change(likeliest, self.verdict):
            self._turn(likeliest)

    def _turn(self, verdict: Verdict) -> None:
        """Change the verdict; the evidence of the time before is no evidence any more."""
        gathered = dict(self._changes)
        now = gathered.get(verdict, 0.0)
        for pair in self._ratios:
            a, b = pair
            self._ratios[pair] = now if a is verdict else -now if b is verdict else 0.0
        self._settle(verdict)

    def _settle(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self._changes = dict.fromkeys(self._rivals(verdict), 0.0)


def _known(pair: Pair, prior: MaskLogits) -> bool:
    return prior.incorrect is not None or Verdict.INCORRECT not in pair


def _score(logits: MaskLogits, verdict: Verdict) -> float:
    score = {
        Verdict.MASK: logits.mask,
        Verdict.NO_MASK: logits.no_mask,
        Verdict.INCORRECT: logits.incorrect,
    }[verdict]
    assert score is not None  # pairs with a class that the model lacks are left out
    return score


def _of(values: Mapping[Pair, float], verdict: Verdict, other: Verdict) -> float:
    if (verdict, other) in values:
        return values[verdict, other]
    return -values.get((other, verdict), 0.0)
