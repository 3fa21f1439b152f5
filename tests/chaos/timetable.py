"""What the storm does and when: drawn from the seed, as often as a storm of its length must."""

from __future__ import annotations

import math
import random

__all__ = [
    "FULL",
    "GUST",
    "KILLS",
    "LEAST",
    "LEAST_VIOLATIONS",
    "LEAST_VISITS",
    "LIFE",
    "least",
    "timetable",
]


FULL = 600.0
"""Seconds of the storm that the counts below are for; a shorter one must have its share of them."""
KILLS = ("worker", "recorder", "supervisor")
LEAST = {"worker": 50, "recorder": 50, "supervisor": 50, "inside record": 10, "clock": 10}
LEAST_VIOLATIONS = 500
LEAST_VISITS = 50
"""Visits in healthy time; with fewer, the share of them that was found says little."""
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
GUST = 16.0
LIFE = 12.0
"""Seconds that every camera lives undisturbed between two gusts; together with the time that it takes to
come back, some thirty seconds from gust to gust. On a machine that others keep busy it is more."""
_PERIOD = 30.0


def least(count: int, duration: float) -> int:
    """Return how many of `count` in a full storm one of `duration` seconds must have."""
    return math.floor(count * min(1.0, duration / FULL))


def timetable(rng: random.Random, duration: float) -> list[list[tuple[float, str]]]:
    """Return for each gust the seconds from its beginning and what happens then, at random, in order."""
    gusts: list[list[tuple[float, str]]] = [[] for _ in range(max(1, int(duration / _PERIOD)))]
    for kind, count in _PLANNED.items():
        for _ in range(math.ceil(count * duration / FULL)):
            rng.choice(gusts).append((rng.uniform(0, GUST), kind))
    return [sorted(gust) for gust in gusts]
