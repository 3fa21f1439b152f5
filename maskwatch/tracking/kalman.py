"""Where a face will be: a Kalman filter with constant velocity, one for each axis."""

from __future__ import annotations

import math

__all__ = ["Axis"]


class Axis:
    """Position and velocity of one coordinate under random acceleration.

    Args:
        position: first measurement.
        variance: of that measurement.
        speed: standard deviation of the velocity that is not known yet, per second.

    """

    __slots__ = ("_cross", "_spread", "_velocity_variance", "position", "velocity")

    def __init__(self, position: float, variance: float, speed: float) -> None:
        self.position, self.velocity = position, 0.0
        self._spread, self._cross, self._velocity_variance = variance, 0.0, speed * speed

    def predict(self, seconds: float, acceleration: float) -> None:
        """Move on by `seconds`; `acceleration` is its standard deviation, per second squared."""
        q = acceleration * acceleration
        self.position += self.velocity * seconds
        self._spread += seconds * (2 * self._cross + seconds * self._velocity_variance)
        self._spread += q * seconds**4 / 4
        self._cross += seconds * self._velocity_variance + q * seconds**3 / 2
        self._velocity_variance += q * seconds * seconds

    def slow(self, share: float) -> None:
        """Keep only `share` of the velocity: nobody walks on for ever unseen."""
        self.velocity *= share

    def surprise(self, measured: float, variance: float) -> float:
        """Return the squared distance of `measured` in standard deviations of the prediction."""
        return (measured - self.position) ** 2 / (self._spread + variance)

    def vagueness(self, variance: float) -> float:
        """Return the logarithm of the prediction's variance."""
        return math.log(self._spread + variance)

    def correct(self, measured: float, variance: float) -> None:
        """Take in a measurement."""
        total = self._spread + variance
        gain, velocity_gain = self._spread / total, self._cross / total
        residual = measured - self.position
        self.position += gain * residual
        self.velocity += velocity_gain * residual
        self._velocity_variance -= velocity_gain * self._cross
        self._cross *= 1 - gain
        self._spread *= 1 - gain
