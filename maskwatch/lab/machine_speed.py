"""Measures how fast this machine, with what else it does now, analyses several clips at a time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from maskwatch.replay.replay import Replay, default_config
from maskwatch.replay.speed import TimedSteps

_MEASURE_S = 4.0
# The daemon's other processes, the broker and the server of the clips need time as well.
_RESERVE = 1.3
# Slower than this, people would move too little for the analysis of movement.
_MAX_STRETCH = 4.0


def measured_stretch(clips: Sequence[Path]) -> float:
    """Return how many times slower than recorded to play these clips; 1 on a fast machine."""
    with ProcessPoolExecutor(len(clips)) as pool:
        return stretch_for(min(pool.map(_speed, clips)))


def stretch_for(speed: float) -> float:
    """Return the stretch for a machine that analyses `speed` seconds of each clip in a second."""
    return min(_MAX_STRETCH, max(1.0, _RESERVE / max(speed, 0.001)))


def _speed(clip: Path) -> float:
    config = default_config(clip)
    timed = TimedSteps(Replay(clip, config, config.cameras[0]))
    for _ in timed:
        if timed.seconds >= _MEASURE_S:
            break
    return timed.speed
