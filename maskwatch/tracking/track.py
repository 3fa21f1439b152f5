"""One face followed from frame to frame by position and size."""

from __future__ import annotations

import math

from maskwatch.domain import Box, Detection
from maskwatch.tracking.kalman import Axis

# In face heights; for the size, in the logarithm of the height. A face is about 0.24 m high; people
# walk at 1.4 m/s and start or stop within a second.
_POSITION_NOISE = 0.08
_SIZE_NOISE = 0.10
_SPEED_X, _SPEED_Y, _SPEED_SIZE = 5.0, 2.5, 0.7
_ACCELERATION_X, _ACCELERATION_Y, _ACCELERATION_SIZE = 6.0, 4.0, 0.6
# How far from the prediction a detection may be, growing with the seconds unseen.
_REACH, _REACH_PER_SECOND, _MAX_REACH = 1.0, 7.0, 6.0
_GROWTH, _GROWTH_PER_SECOND, _MAX_GROWTH = 0.35, 0.3, 0.6
_DAMPED_AFTER = 1.0  # s unseen after which the velocity is damped
_DAMPING_TIME = 0.6  # s
_ASPECT_MEMORY = 0.8
_MAX_STEP = 60.0  # s of one prediction


class Track:
    """A face over time, in pixels of the full picture and seconds of the frames' moments.

    Attributes:
        number: unique in one run of one worker, from 1.
        detection: the detection matched in this frame; None while the track coasts.
        hits: number of matched frames.
        first_moment, last_moment: moments of the first and of the latest match.
    """

    __slots__ = (
        "_aspect",
        "_last_centre",
        "_log_height",
        "_moment",
        "_x",
        "_y",
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
        noise = (_POSITION_NOISE * height) ** 2
        self._x = Axis(box.centre.x, noise, _SPEED_X * height)
        self._y = Axis(box.centre.y, noise, _SPEED_Y * height)
        self._log_height = Axis(math.log(height), _SIZE_NOISE**2, _SPEED_SIZE)
        self._aspect = max(box.width, 1.0) / height
        self._last_centre = (box.centre.x, box.centre.y)

    @property
    def height(self) -> float:
        """Estimated height of the face in pixels."""
        return math.exp(min(max(self._log_height.position, 0.0), 12.0))

    @property
    def box(self) -> Box:
        """Estimated rectangle of the face."""
        half_height = self.height / 2
        half_width = half_height * self._aspect
        x, y = self._x.position, self._y.position
        return Box(x - half_width, y - half_height, x + half_width, y + half_height)

    @property
    def velocity(self) -> tuple[float, float]:
        """Pixels per second to the right and down."""
        return self._x.velocity, self._y.velocity

    def predict(self, moment: float) -> None:
        """Advance to `moment` without a detection; a moment in the past changes nothing."""
        seconds = min(max(moment - self._moment, 0.0), _MAX_STEP)
        self._moment = max(self._moment, moment)
        self.detection = None
        height = self.height
        self._x.predict(seconds, _ACCELERATION_X * height)
        self._y.predict(seconds, _ACCELERATION_Y * height)
        self._log_height.predict(seconds, _ACCELERATION_SIZE)
        if self._moment - self.last_moment > _DAMPED_AFTER:
            for axis in (self._x, self._y, self._log_height):
                axis.damp(math.exp(-seconds / _DAMPING_TIME))

    def pause(self, moment: float) -> None:
        """Advance the clock to `moment` without any motion: the picture did not change until then."""
        self._moment = max(self._moment, moment)

    def cost(self, detection: Detection) -> float:
        """Return the cost of a match: twice the negative log-likelihood; infinite out of reach."""
        if not self._reaches(detection):
            return math.inf
        box, height = detection.box, self.height
        noise = (_POSITION_NOISE * height) ** 2
        distance = (
            self._x.squared_mahalanobis(box.centre.x, noise)
            + self._y.squared_mahalanobis(box.centre.y, noise)
            + self._log_height.squared_mahalanobis(math.log(max(box.height, 1.0)), _SIZE_NOISE**2)
        )
        spread = self._x.log_variance(noise) + self._y.log_variance(noise) - 4 * math.log(height)
        return distance + spread

    def _reaches(self, detection: Detection) -> bool:
        """Return whether the detection is near enough in size and position to be this face."""
        unseen = self._moment - self.last_moment
        growth = abs(math.log(max(detection.box.height, 1.0)) - self._log_height.position)
        if growth > min(_GROWTH + _GROWTH_PER_SECOND * unseen, _MAX_GROWTH):
            return False
        reach = min(_REACH + _REACH_PER_SECOND * unseen, _MAX_REACH) * self.height
        # A hidden person walks on or stops: near the prediction or near the last match will do.
        centres = ((self._x.position, self._y.position), self._last_centre)
        x, y = detection.box.centre.x, detection.box.centre.y
        return min(math.hypot(x - px, y - py) for px, py in centres) <= reach

    def match(self, detection: Detection, moment: float) -> None:
        """Update the estimate with the detection of this frame."""
        box = detection.box
        height = max(box.height, 1.0)
        noise = (_POSITION_NOISE * height) ** 2
        self._x.correct(box.centre.x, noise)
        self._y.correct(box.centre.y, noise)
        self._log_height.correct(math.log(height), _SIZE_NOISE**2)
        aspect = max(box.width, 1.0) / height
        self._aspect = _ASPECT_MEMORY * self._aspect + (1 - _ASPECT_MEMORY) * aspect
        self._last_centre = (box.centre.x, box.centre.y)
        self.detection = detection
        self.hits += 1
        self.last_moment = max(self.last_moment, moment)
