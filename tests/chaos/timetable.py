"""What the storm does and when: drawn from the seed, as often as a storm of its length must."""

from __future__ import annotations

import math
import random

__all__ = ["FULL", "KILLS", "LEAST", "LEAST_VIOLATIONS", "least", "timetable"]

FULL = 600.0
"""Seconds of the storm that the counts below are for; a shorter one must have its share of them."""
KILLS = ("worker", "recorder", "supervisor")
LEAST = {"worker": 50, "recorder": 50, "supervisor": 50, "inside record": 10, "clock": 10}
LEAST_VIOLATIONS = 500
_PLANNED = {
    "worker": 46,  # and half of those inside `record`
    "recorder": 46,
    "supervisor": 53,
    "inside record": 14,
    "camera": 40,
    "broker": 15,
    "disk": 8,
    "clock": 16,
}
# The storm comes in gusts: in between there is time to come back to life, and to see somebody.
_GUST, _CALM = 18.0, 12.0


def least(count: int, duration: float) -> int:
    """Return how many of `count` in a full storm one of `duration` seconds must have."""
    return math.floor(count * min(1.0, duration / FULL))


def timetable(rng: random.Random, duration: float) -> list[tuple[float, str]]:
    """Return seconds from the beginning and what happens then, at random instants, in order."""
    gusts = max(1, int(duration / (_GUST + _CALM)))
    plan = [
        (rng.randrange(gusts) * (_GUST + _CALM) + rng.uniform(0, _GUST), kind)
        for kind, count in _PLANNED.items()
        for _ in range(math.ceil(count * duration / FULL))
    ]
    return sorted(plan)
