"""The schedule of faults: drawn from the seed, with the counts that the duration requires."""

from __future__ import annotations

import math
import random

FULL = 600.0
"""The duration in seconds that the counts are for; a shorter storm needs its share of them."""
KILLS = ("worker", "recorder", "supervisor")
MIN_FAULTS = {
    "worker": 50,
    "recorder": 50,
    "supervisor": 50,
    "inside record": 10,
    "clock": 10,
    "peer": 60,
    "start up": 10,
}
MIN_VIOLATIONS = 500
MIN_VISITS = 50
"""Visits in healthy time; a share of fewer visits means little."""
_PLANNED = {
    "worker": 46,  # and half of those inside `record`
    "recorder": 46,
    "supervisor": 53,
    "inside record": 14,
    "camera": 40,
    "broker": 15,
    "disk": 8,
    "clock": 16,
    "peer": 80,
    "start up": 14,  # each kills the supervisor twice
}
# Between two phases of faults, every camera recovers and sees visits.
PHASE = 16.0
CALM = 12.0
"""Seconds without faults between two phases, once every camera is live again."""
_PERIOD = 30.0


def required(count: int, duration: float) -> int:
    """Return the share of `count` that a storm of `duration` seconds requires."""
    return math.floor(count * min(1.0, duration / FULL))


def make_schedule(rng: random.Random, duration: float) -> list[list[tuple[float, str]]]:
    """Return the faults of each phase as (seconds from its beginning, kind), in order."""
    phases: list[list[tuple[float, str]]] = [[] for _ in range(max(1, int(duration / _PERIOD)))]
    for kind, count in _PLANNED.items():
        for _ in range(math.ceil(count * duration / FULL)):
            rng.choice(phases).append((rng.uniform(0, PHASE), kind))
    return [sorted(phase) for phase in phases]
