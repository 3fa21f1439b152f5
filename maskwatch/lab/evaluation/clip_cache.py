"""The clips of an event evaluation: rendered or altered, or taken from a cache.

Rendering takes longer than judging, so a folder of clips is kept between evaluations. The name of a
clip includes a hash of its inputs: the scene, its seed and size, the portraits, the code that renders,
and the versions of its libraries. A change of any of them gives another name.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from maskwatch.lab import scenes, truth
from maskwatch.lab.evaluation import negatives
from maskwatch.lab.evaluation.negatives import NegativePass, write_pass
from maskwatch.lab.scenes import Head, render, scene_named
from maskwatch.lab.truth import Truth, truth_path

_SIZE = (960, 540)
_FPS = 10.0
_LIBRARIES = ("av", "numpy", "opencv-python-headless")


@dataclass(frozen=True, slots=True)
class PlannedClip:
    """One clip to make and judge: a scene of a kind and seed, or a pass over negative footage."""

    kind: str
    seed: int
    negative: NegativePass | None = None


class ClipCache:
    """A folder of clips, each with its ground truth beside it.

    Args:
        folder: of the clips; created when the first path is requested.
        portraits: fingerprint of the portraits.

    """

    def __init__(self, folder: Path, portraits: str) -> None:
        self._folder = folder
        self._base = f"{renderer_fingerprint()} {portraits}"

    def path(self, kind: str, seed: int, *inputs: object) -> Path:
        """Return the path of the clip that has these inputs, whether it exists or not."""
        name = f"{self._base} {kind} {seed} {inputs}"
        digest = hashlib.sha256(name.encode()).hexdigest()
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"{kind}-{seed}-{digest[:16]}.mp4"

    @staticmethod
    def is_complete(clip: Path) -> bool:
        """Return whether the clip was written completely: its ground truth is written last."""
        return truth_path(clip).is_file() and clip.is_file()


def cached_path(planned: PlannedClip, cache: ClipCache) -> Path:
    """Return the path of the planned clip in the cache, whether it exists or not."""
    return cache.path(planned.kind, planned.seed, _SIZE, _FPS, *_footage_inputs(planned.negative))


def _footage_inputs(negative: NegativePass | None) -> tuple[object, ...]:
    """Return the length and content hash of recorded footage; its path does not matter."""
    if negative is None:
        return ()
    clip = negative.clip
    return negative.seconds, hashlib.sha256(clip.read_bytes()).hexdigest() if clip else ""


def ensure_clip(planned: PlannedClip, path: Path, heads: Sequence[Head]) -> Truth:
    """Return the ground truth of the clip at `path`, and make the clip if it is not complete."""
    if ClipCache.is_complete(path):
        return Truth.load(truth_path(path))
    if planned.negative is not None:
        return write_pass(planned.negative, path, heads)
    scene = scene_named(planned.kind, planned.seed)
    return render(scene, path, size=_SIZE, fps=_FPS, seed=planned.seed, faces=heads)


def canonical_code(module: Path) -> bytes:
    """Return a Python file's name and syntax tree, which comments and layout do not change."""
    return f"{module.name} {ast.dump(ast.parse(module.read_bytes()))}".encode()


@functools.cache
def renderer_fingerprint() -> str:
    """Return the sha256 over the code of clips and ground truth, and the libraries' versions."""
    files = sorted(Path(scenes.__file__).parent.glob("*.py"))
    digest = hashlib.sha256()
    for path in (*files, Path(truth.__file__), Path(negatives.__file__)):
        digest.update(canonical_code(path))
    for library in _LIBRARIES:
        digest.update(f"{library} {version(library)}".encode())
    return digest.hexdigest()
