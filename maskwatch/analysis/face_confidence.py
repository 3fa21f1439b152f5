"""Whether a track is a face at all: the detector mistakes shelves, pipes and folds of cloth for one.

A sequential test (Wald 1945), like that of the mask, on the face detector's own scores. Its
constants come from photographs of people (`python bench/face_scores.py`), not from any clip.
"""

from __future__ import annotations

import math

from maskwatch.analysis.evidence import CorrelationWeight

# Log-likelihood ratio of "a face" over "no face" for one score: a logistic regression on 1,749
# detections of 32 px and more in 408 photographs in which every face was boxed by hand.
_SLOPE = 11.6  # nats for each whole score
_NEUTRAL_SCORE = 0.716  # the score that favours neither
_PRIOR = 1.3  # nats: in those photographs 1,378 detections were faces and 371 were not
_CLIP = 4.0  # maximum nats of one detection
_ERROR_RATE = 0.05  # nominal share of false faces that are taken for one
_THRESHOLD = math.log((1 - _ERROR_RATE) / _ERROR_RATE)
# Masked faces score lower than those without a mask. When a mask comes off, earlier scores must not
# count against its wearer for longer than the test of the mask itself takes.
_MAX_RATIO = 6.9


class FaceConfidence:
    """Evidence that one track is a face; only the opening of a violation requires it.

    `ratio` is the log-likelihood ratio of "a face" over "no face", in nats.
    """

    def __init__(self, correlation_time: float) -> None:
        self._weight = CorrelationWeight(correlation_time)
        self.ratio = _PRIOR

    def observe(self, score: float, moment: float) -> None:
        """Add the score (0 to 1) of a matched detection at `moment` (seconds).

        A moment in the past counts as no time passed.
        """
        step = min(max(_SLOPE * (score - _NEUTRAL_SCORE), -_CLIP), _CLIP)
        self.ratio = min(max(self.ratio + self._weight.at(moment) * step, -_THRESHOLD), _MAX_RATIO)

    @property
    def sufficient(self) -> bool:
        return self.ratio >= _THRESHOLD
