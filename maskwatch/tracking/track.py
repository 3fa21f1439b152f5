"""One person followed from frame to frame by the place and size of the face."""

from __future__ import annotations

import math

from maskwatch.domain import Box, Detection
from maskwatch.tracking.kalman import Axis

__all__ = ["Track"]

# In face heights (and, for the size, in its logarithm). A face is about 0.24 m high; people walk
# at 1.4 m/s and start or stop within a second.
_NOISE_ACROSS = 0.08
_NOISE_SIZE = 0.10
_SPEED_ACROSS, _SPEED_DOWN, _SPEED_SIZE = 5.0, 2.5, 0.7
_FORCE_ACROSS, _FORCE_DOWN, _FORCE_SIZE = 6.0, 4.0, 0.6
_REACH = 1.0
_REACH_PER_SECOND = 7.0
_MOST_REACH = 6.0
# The like for the logarithm of the height.
_GROWS, _GROWS_PER_SECOND, _MOST_GROWTH = 0.35, 0.3, 0.6
_WALKS_ON = 1.0  # s unseen after which the velocity fades
_FADE = 0.6  # s
_SHAPE_MEMORY = 0.8


class Track:
    """A face over time, in pixels of the full picture and seconds of the frames' moments.

    Attributes:
        number: unique in one run of one worker, from 1.
        detection: the detection that this frame matched; None while it coasts.
        hits: how many frames matched.
        first_moment, last_moment: moments of the first and of the latest match.

    """

    __slots__ = (
        "_across",
        "_aspect",
        "_down",
        "_moment",
        "_seen_at",
        "_size",
        "detection",
        "first_moment",
        "hits",
        "last_moment",
        "number",
    )

    def __init__(self, number: int, detection: Detection, moment: float) -> None:
        self.number = number
        self.detection: Detection | None = detection
        self.hits = 1
        self.first_moment = self.last_moment = self._moment = moment
        box = detection.box
        height = max(box.height, 1.0)
        noise = (_NOISE_ACROSS * height) ** 2
        self._across = Axis(box.centre.x, noise, _SPEED_ACROSS * height)
        self._down = Axis(box.centre.y, noise, _SPEED_DOWN * height)
        self._size = Axis(math.log(height), _NOISE_SIZE**2, _SPEED_SIZE)
        self._aspect = max(box.width, 1.0) / height
        self._seen_at = (box.centre.x, box.centre.y)

    @property
    def height(self) -> float:
        """Estimated height of the face in pixels."""
        return math.exp(min(max(self._size.position, 0.0), 12.0))

    @property
    def box(self) -> Box:
        """Estimated rectangle of the face."""
        half = self.height / 2
        wide = half * self._aspect
        x, y = self._across.position, self._down.position
        return Box(x - wide, y - half, x + wide, y + half)

    @property
    def velocity(self) -> tuple[float, float]:
        """Pixels per second across and down."""
        return self._across.velocity, self._down.velocity

    def predict(self, moment: float) -> None:
        """Go on to `moment` without a detection; a moment in the past changes nothing."""
        seconds = min(max(moment - self._moment, 0.0), 60.0)
        self._moment = max(self._moment, moment)
        self.detection = None
        height = self.height
        self._across.predict(seconds, _FORCE_ACROSS * height)
        self._down.predict(seconds, _FORCE_DOWN * height)
        self._size.predict(seconds, _FORCE_SIZE)
        if self._moment - self.last_moment > _WALKS_ON:
            for axis in (self._across, self._down, self._size):
                axis.slow(math.exp(-seconds / _FADE))

    def rest(self, moment: float) -> None:
        """Know that nothing moved until `moment`: no time for this face to go anywhere."""
        self._moment = max(self._moment, moment)

    def cost(self, detection: Detection) -> float:
        """Return how unlikely the detection is for this track; infinite when out of reach."""
        box, height = detection.box, self.height
        unseen = self._moment - self.last_moment
        reach = min(_REACH + _REACH_PER_SECOND * unseen, _MOST_REACH) * height
        x, y, size = box.centre.x, box.centre.y, math.log(max(box.height, 1.0))
        grown = abs(size - self._size.position)
        if grown > min(_GROWS + _GROWS_PER_SECOND * unseen, _MOST_GROWTH):
            return math.inf
        # Who is hidden walks on, or stops: near either place will do.
        places = ((self._across.position, self._down.position), self._seen_at)
        if min(math.hypot(x - px, y - py) for px, py in places) > reach:
            return math.inf
        noise = (_NOISE_ACROSS * height) ** 2
        surprise = (
            self._across.surprise(x, noise)
            + self._down.surprise(y, noise)
            + self._size.surprise(size, _NOISE_SIZE**2)
        )
        vague = self._across.vagueness(noise) + self._down.vagueness(noise) - 4 * math.log(height)
        return surprise + vague

    def match(self, detection: Detection, moment: float) -> None:
        """Take in the detection of this frame."""
        box = detection.box
        height = max(box.height, 1.0)
        noise = (_NOISE_ACROSS * height) ** 2
        self._across.correct(box.centre.x, noise)
        self._down.correct(box.centre.y, noise)
        self._size.correct(math.log(height), _NOISE_SIZE**2)
        aspect = max(box.width, 1.0) / height
        self._aspect = _SHAPE_MEMORY * self._aspect + (1 - _SHAPE_MEMORY) * aspect
        self._seen_at = (box.centre.x, box.centre.y)
        self.detection = detection
        self.hits += 1
        self.last_moment = max(self.last_moment, moment)
