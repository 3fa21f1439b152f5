"""The clips of an event evaluation: rendered or altered, or found in a cache."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from maskwatch.lab.evaluation.clip_cache import ClipCache
from maskwatch.lab.evaluation.negatives import QuietPass, write_pass
from maskwatch.lab.scenes import Head, render, scene_named
from maskwatch.lab.truth import Truth, truth_path

__all__ = ["Run", "made", "place_of"]

_SIZE = (960, 540)
_FPS = 10.0


@dataclass(frozen=True, slots=True)
class Run:
    """One clip to be made and judged: a scene of a kind and seed, or a quiet pass."""

    kind: str
    seed: int
    quiet: QuietPass | None = None


def place_of(run: Run, cache: ClipCache) -> Path:
    """Return where the cache has, or would have, the run's clip."""
    return cache.path(run.kind, run.seed, _SIZE, _FPS, *_footage(run.quiet))


def _footage(quiet: QuietPass | None) -> tuple[object, ...]:
    """Return what a quiet pass is made from, whatever its folder is called."""
    if quiet is None:
        return ()
    clip = quiet.clip
    return quiet.seconds, hashlib.sha256(clip.read_bytes()).hexdigest() if clip else ""


def made(run: Run, clip: Path, heads: Sequence[Head]) -> Truth:
    """Return the truth of the run's clip, which is made first where it is not there yet."""
    if ClipCache.holds(clip):
        return Truth.load(truth_path(clip))
    if run.quiet is not None:
        return write_pass(run.quiet, clip, heads)
    scene = scene_named(run.kind, run.seed)
    return render(scene, clip, size=_SIZE, fps=_FPS, seed=run.seed, faces=heads)
