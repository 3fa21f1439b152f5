"""The verdict about a person from many readings, by sequential tests.

Until a verdict is reached, every pair of classes has a sequential probability ratio test (Wald
1945; for more than two classes as in Armitage 1950): a class is accepted when it beats each other
one. After a verdict, a CUSUM (Page 1954) for each other class detects that the mask comes off or
on. Both add up log-likelihood ratios: the difference of the calibrated logits less that of the
training prior. Each is clipped, since no single picture may decide alone, and weighted by
1 - exp(-dt / tau), since pictures in quick succession are correlated.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from maskwatch.config.schema import DecisionConfig
from maskwatch.domain import MaskLogits, Verdict

CLIP = 4.0
"""Maximum nats of one reading for a pair of classes; less than any useful threshold."""

_CLASSES = (Verdict.NO_MASK, Verdict.MASK, Verdict.INCORRECT)
_PAIRS = tuple(combinations(_CLASSES, 2))
_CONFUSION = 0.05
"""Nominal error rate between two classes of which both or neither are reported."""

_CHANGE_FACTOR = 1.5
_MAX_RATIO = 30.0  # nats; more makes no difference to any decision

Pair = tuple[Verdict, Verdict]


@dataclass(frozen=True, slots=True)
class EvidenceLimits:
    """The thresholds of the tests, from the nominal error rates of the configuration."""

    decision: DecisionConfig

    def acceptance(self, verdict: Verdict, over: Verdict) -> float:
        """Return the log-likelihood ratio (nats) at which `verdict` is accepted over the other class."""
        alpha, beta = self.decision.false_alarm_rate, self.decision.miss_rate  # as Wald names them
        if over is Verdict.MASK and self._is_reported(verdict):
            return math.log((1 - beta) / alpha)
        if verdict is Verdict.MASK and self._is_reported(over):
            return math.log((1 - alpha) / beta)
        return math.log((1 - _CONFUSION) / _CONFUSION)

    def change(self, verdict: Verdict, over: Verdict) -> float:
        """Return the CUSUM (nats) at which `verdict` replaces `over`; tested often, hence higher."""
        return _CHANGE_FACTOR * self.acceptance(verdict, over)

    def _is_reported(self, verdict: Verdict) -> bool:
        return verdict is Verdict.NO_MASK or (
            verdict is Verdict.INCORRECT and self.decision.incorrect_is_violation
        )


class CorrelationWeight:
    """Weights observations in quick succession less: by 1 - exp(-dt / tau), tau in seconds."""

    def __init__(self, correlation_time: float) -> None:
        self._correlation_time = correlation_time
        self._last: float | None = None

    def at(self, moment: float) -> float:
        """Return the weight (0 to 1) of an observation at `moment` (seconds); 1 for the first.

        A moment in the past counts as no time passed.
        """
        if self._last is None:
            self._last = moment
            return 1.0
        seconds = max(0.0, moment - self._last)
        self._last = max(moment, self._last)
        return 1.0 - math.exp(-seconds / self._correlation_time)


class Evidence:
    """The accumulated readings of one person; `verdict` is the class accepted last, UNKNOWN at first.

    `prior` holds the logarithms of the training shares; a class without one is never decided.
    """

    def __init__(self, limits: EvidenceLimits, prior: MaskLogits) -> None:
        self._limits, self._prior = limits, prior
        self._ratios: dict[Pair, float] = {pair: 0.0 for pair in _PAIRS if _has_classes(prior, pair)}
        self._cusums: dict[Verdict, float] = {}
        self._weight = CorrelationWeight(limits.decision.correlation_time)
        self.verdict = Verdict.UNKNOWN
        self.readings = 0

    def vote(self, logits: MaskLogits, moment: float, share: float = 1.0) -> Verdict:
        """Add the calibrated scores of a frame at `moment` (seconds); return the verdict after it.

        Only a frame that matched a detection may vote. `share` (0 to 1) of its evidence counts.
        """
        weight = share * self._weight.at(moment)
        steps = {pair: weight * self._ratio(logits, pair) for pair in self._ratios}
        for pair, step in steps.items():
            self._ratios[pair] = min(max(self._ratios[pair] + step, -_MAX_RATIO), _MAX_RATIO)
        self.readings += 1
        if self.verdict is Verdict.UNKNOWN:
            self._decide()
        else:
            self._update_cusums(steps)
        return self.verdict

    def log_ratio(self, verdict: Verdict, over: Verdict) -> float:
        """Return the accumulated log-likelihood ratio of one class over another, in nats."""
        return _directed(self._ratios, verdict, over)

    def margin(self, verdict: Verdict) -> float:
        """Return the least ratio (nats) of `verdict` over any other class; 0 for UNKNOWN."""
        rivals = self._rivals(verdict)
        return min((self.log_ratio(verdict, other) for other in rivals), default=0.0)

    def confidence(self, verdict: Verdict) -> float:
        """Return the posterior probability (0 to 1) of `verdict` under equal priors; 0 for UNKNOWN."""
        odds = sum(math.exp(-self.log_ratio(verdict, other)) for other in self._rivals(verdict))
        return 1 / (1 + odds) if verdict is not Verdict.UNKNOWN else 0.0

    @property
    def cusums(self) -> Mapping[Verdict, float]:
        """The CUSUM of each class that could replace the verdict, in nats."""
        return self._cusums

    def _rivals(self, verdict: Verdict) -> list[Verdict]:
        return [b if a is verdict else a for a, b in self._ratios if verdict in (a, b)]

    def _ratio(self, logits: MaskLogits, pair: Pair) -> float:
        first, second = pair
        observed = _score(logits, first) - _score(logits, second)
        expected = _score(self._prior, first) - _score(self._prior, second)
        return min(max(observed - expected, -CLIP), CLIP)

    def _decide(self) -> None:
        for verdict in _CLASSES:
            rivals = self._rivals(verdict)
            if rivals and all(
                self.log_ratio(verdict, other) >= self._limits.acceptance(verdict, other)
                for other in rivals
            ):
                self._set_verdict(verdict)
                return

    def _update_cusums(self, steps: Mapping[Pair, float]) -> None:
        for other in self._cusums:
            self._cusums[other] = max(0.0, self._cusums[other] + _directed(steps, other, self.verdict))
        likeliest = max(self._cusums, key=lambda other: self._cusums[other])
        if self._cusums[likeliest] >= self._limits.change(likeliest, self.verdict):
            self._change_verdict(likeliest)

    def _change_verdict(self, verdict: Verdict) -> None:
        """Change the verdict and drop the evidence from before the change."""
        cusum = self._cusums.get(verdict, 0.0)
        for pair in self._ratios:
            a, b = pair
            self._ratios[pair] = cusum if a is verdict else -cusum if b is verdict else 0.0
        self._set_verdict(verdict)

    def _set_verdict(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self._cusums = dict.fromkeys(self._rivals(verdict), 0.0)


def _has_classes(prior: MaskLogits, pair: Pair) -> bool:
    return prior.incorrect is not None or Verdict.INCORRECT not in pair


def _score(logits: MaskLogits, verdict: Verdict) -> float:
    score = {
        Verdict.MASK: logits.mask,
        Verdict.NO_MASK: logits.no_mask,
        Verdict.INCORRECT: logits.incorrect,
    }[verdict]
    assert score is not None  # pairs with a class that the model lacks are never made
    return score


def _directed(values: Mapping[Pair, float], verdict: Verdict, other: Verdict) -> float:
    """Return the value of the pair in either order, with its sign."""
    if (verdict, other) in values:
        return values[verdict, other]
    return -values.get((other, verdict), 0.0)
