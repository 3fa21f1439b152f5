"""The schedule of faults: drawn from the seed, with the counts that the duration requires."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict

from tests.chaos.outside import BROKER_FAULTS, CAMERA_FAULTS, SERVICE_FAULTS
from tests.chaos.starts import ANY_MOMENT, MISSING
from tests.fakes.failpoint import FAILPOINTS
from tests.fakes.hostile_peers import PEERS
from tests.fakes.hostile_worker import ATTACKS

FULL = 600.0
"""The duration in seconds that the counts are for; a shorter storm needs its share of them."""
MIN_KILLS = {"worker": 50, "recorder": 50, "supervisor": 50}
MIN_FAULTS = {
    "inside record": 10,
    "clock": 10,
    "peer": 60,
    "start up": 16,
    "missing at start": 12,
    "hostile worker": 29,
    "broker": 18,
    "notify service": 12,
}
MIN_VIOLATIONS = 500
MIN_VISITS = 50
"""Visits in healthy time; a share of fewer visits means little."""
PLANNED = {
    "worker": 26,
    "recorder": 46,
    "supervisor": 18,
    "inside record": 14,  # half of them kill a recorder, the others a worker
    "camera": 40,
    "broker": 20,
    "disk": 8,
    "clock": 16,
    "peer": 80,
    "start up": 17,  # each kills the supervisor twice
    "missing at start": 14,  # each kills the supervisor
    "hostile worker": 31,  # each kills a worker
    "notify service": 14,
}
VARIANTS = {
    "camera": tuple(CAMERA_FAULTS),
    "broker": tuple(BROKER_FAULTS),
    "peer": tuple(PEERS),
    "start up": (*FAILPOINTS, ANY_MOMENT),
    "missing at start": tuple(MISSING),
    "hostile worker": ATTACKS,
    "notify service": tuple(SERVICE_FAULTS),
}
"""The kinds of which each fault is one of several; ten minutes have every one."""
# Between two phases of faults, every camera recovers and sees visits.
PHASE = 16.0
CALM = 12.0
"""Seconds without faults between two phases, once every camera is live again."""
_PERIOD = 30.0
_SPARE_EVERY = 100.0


def required(count: int, duration: float) -> int:
    """Return the share of `count` that a storm of `duration` seconds requires."""
    return math.floor(count * min(1.0, duration / FULL))


def spare_phases(duration: float) -> int:
    """Return how many phases may follow for faults that a busy machine left no time for."""
    return int(duration / _SPARE_EVERY)


def make_schedule(rng: random.Random, duration: float) -> list[list[tuple[float, str]]]:
    """Return the faults of each phase as (seconds from its beginning, kind), in order."""
    phases: list[list[tuple[float, str]]] = [[] for _ in range(max(1, int(duration / _PERIOD)))]
    for kind, count in PLANNED.items():
        for _ in range(math.ceil(count * duration / FULL)):
            rng.choice(phases).append((rng.uniform(0, PHASE), kind))
    return [sorted(phase) for phase in phases]


class Deck:
    """Deals the variants of each kind in an order that the seed determines, all equally often."""

    def __init__(self, rng: random.Random) -> None:
        self._cards = {kind: rng.sample(cards, len(cards)) for kind, cards in VARIANTS.items()}
        self.dealt: dict[str, Counter[str]] = defaultdict(Counter)

    def next(self, kind: str) -> str:
        """Return the variant whose turn it is, "" of a kind without variants."""
        cards = self._cards.get(kind)
        return cards[self.dealt[kind].total() % len(cards)] if cards else ""

    def count(self, kind: str, variant: str) -> None:
        """Count a fault that was injected."""
        self.dealt[kind][variant] += 1
