"""Keeps rendered clips from one evaluation to the next: rendering takes longer than judging.

A clip is named by what it was made from: the scene, its seed and size, the portraits, the code
that renders and the libraries that it calls. Whatever of that changes makes another name, so that
nothing stale is ever found.
"""

from __future__ import annotations

import ast
import functools
import hashlib
from importlib.metadata import version
from pathlib import Path

from maskwatch.lab import scenes, truth
from maskwatch.lab.evaluation import negatives as quiet

__all__ = ["ClipCache", "meaning_of", "renderer_fingerprint"]

_LIBRARIES = ("av", "numpy", "opencv-python-headless")


class ClipCache:
    """A folder of clips, each with its truth beside it.

    Args:
        folder: where they lie; made when the first one comes.
        portraits: fingerprint of the casting.
    """

    def __init__(self, folder: Path, portraits: str) -> None:
        self._folder = folder
        self._base = f"{renderer_fingerprint()} {portraits}"

    def path(self, kind: str, seed: int, *made_from: object) -> Path:
        """Return where the clip made from this is, or belongs."""
        name = f"{self._base} {kind} {seed} {made_from}"
        digest = hashlib.sha256(name.encode()).hexdigest()
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / f"{kind}-{seed}-{digest[:16]}.mp4"

    @staticmethod
    def holds(clip: Path) -> bool:
        """Return whether the clip is there and whole: its truth is written last."""
        return truth.truth_path(clip).is_file() and clip.is_file()


def meaning_of(code: Path) -> bytes:
    """Return what a Python file says, without its comments and the way it is laid out."""
    return f"{code.name} {ast.dump(ast.parse(code.read_bytes()))}".encode()


@functools.cache
def renderer_fingerprint() -> str:
    """Return the sha256 over the code that renders and the versions of what it calls."""
    files = sorted(Path(scenes.__file__).parent.glob("*.py"))
    digest = hashlib.sha256()
    for path in (*files, Path(quiet.__file__)):
        digest.update(meaning_of(path))
    for library in _LIBRARIES:
        digest.update(f"{library} {version(library)}".encode())
    return digest.hexdigest()
