"""Whether a track is a face at all: shelves, pipes and folds of cloth are taken for one now and then.

A sequential test (Wald 1945) like that of the mask, but on what the face detector says of itself.
Its constants come from photographs of people (`python bench/face_scores.py`), not from any clip.
"""

from __future__ import annotations

import math

__all__ = ["FaceEvidence"]

# Log-likelihood ratio of "a face" over "no face" for one score: a logistic regression on 1,749
# detections of 32 px and more in 408 photographs in which every face was boxed by hand.
_SLOPE = 11.6  # nats for each whole score
_EVEN = 0.716  # the score that says nothing
_PRIOR = 1.3  # nats: in those photographs 1,378 detections were faces and 371 were not
_CLIP = 4.0  # nats that one sighting may say
_CONFUSION = 0.05  # nominal share of false faces that are taken for one
# What was gathered before counts no more than this: masked faces score lower than bare ones, and a
# mask that comes off must not be held against its wearer for longer than the mask's own test takes.
_MOST = 6.9


class FaceEvidence:
    """The sightings of one track. Masked faces score lower: only the way up to a violation is barred.

    Args:
        correlation_time: seconds over which sightings repeat themselves.

    """

    __slots__ = ("_correlation_time", "_seen_at", "ratio")

    def __init__(self, correlation_time: float) -> None:
        self._correlation_time = correlation_time
        self._seen_at: float | None = None
        self.ratio = _PRIOR

    def see(self, score: float, moment: float) -> None:
        """Take in the score (0 to 1) of a frame's detection; a moment that goes back is no time."""
        said = min(max(_SLOPE * (score - _EVEN), -_CLIP), _CLIP)
        limit = self.limit
        self.ratio = min(max(self.ratio + self._weight(moment) * said, -limit), _MOST)

    @property
    def limit(self) -> float:
        """The evidence, in nats, that it takes."""
        return math.log((1 - _CONFUSION) / _CONFUSION)

    @property
    def enough(self) -> bool:
        """Whether it is a face, by all that was seen lately."""
        return self.ratio >= self.limit

    def _weight(self, moment: float) -> float:
        if self._seen_at is None:
            self._seen_at = moment
            return 1.0
        seconds = max(0.0, moment - self._seen_at)
        self._seen_at = max(moment, self._seen_at)
        return 1.0 - math.exp(-seconds / self._correlation_time)
