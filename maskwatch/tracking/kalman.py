"""Kalman filter of one coordinate under constant velocity and random acceleration."""

from __future__ import annotations

import math


class Axis:
    """Position and velocity of one coordinate (Kalman 1960), in the caller's unit and seconds.

    Args:
        position: first measurement.
        variance: of that measurement.
        speed: standard deviation of the unknown initial velocity, per second.
    """

    __slots__ = ("_covariance", "_position_variance", "_velocity_variance", "position", "velocity")

    def __init__(self, position: float, variance: float, speed: float) -> None:
        self.position, self.velocity = position, 0.0
        self._position_variance, self._covariance = variance, 0.0
        self._velocity_variance = speed * speed

    def predict(self, seconds: float, acceleration: float) -> None:
        """Advance by `seconds`; `acceleration` is its standard deviation, per second squared."""
        q = acceleration * acceleration
        self.position += self.velocity * seconds
        self._position_variance += seconds * (2 * self._covariance + seconds * self._velocity_variance)
        self._position_variance += q * seconds**4 / 4
        self._covariance += seconds * self._velocity_variance + q * seconds**3 / 2
        self._velocity_variance += q * seconds * seconds

    def damp(self, share: float) -> None:
        """Keep only `share` (0 to 1) of the velocity."""
        self.velocity *= share

    def squared_mahalanobis(self, measured: float, variance: float) -> float:
        """Return the squared distance of `measured` in standard deviations of the prediction."""
        return (measured - self.position) ** 2 / (self._position_variance + variance)

    def log_variance(self, variance: float) -> float:
        """Return the logarithm of the predicted measurement's variance."""
        return math.log(self._position_variance + variance)

    def correct(self, measured: float, variance: float) -> None:
        """Update the estimate with a measurement of that variance."""
        total = self._position_variance + variance
        gain, velocity_gain = self._position_variance / total, self._covariance / total
        residual = measured - self.position
        self.position += gain * residual
        self.velocity += velocity_gain * residual
        self._velocity_variance -= velocity_gain * self._covariance
        self._covariance *= 1 - gain
        self._position_variance *= 1 - gain
