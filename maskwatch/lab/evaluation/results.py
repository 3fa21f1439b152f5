"""Remembers what came of each clip, so that an evaluation that was cut off goes on where it was.

A result holds for one model, one state of the code and one set of libraries: a replay repeats
itself to the byte, so the same again would be the same. Anything else is another folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

import maskwatch
from maskwatch.lab.evaluation.clip_cache import meaning_of
from maskwatch.lab.evaluation.events import ClipOutcome
from maskwatch.lab.evaluation.tracks import TrackFindings

__all__ = ["ClipResult", "ResultCache", "replay_fingerprint"]


class ClipResult(msgspec.Struct, frozen=True, kw_only=True):
    """As the daemon would see it, and (`ungated`) without the motion gate.

    A quiet pass is not replayed without the gate: there is no visit to miss.
    """

    outcome: ClipOutcome
    findings: TrackFindings
    ungated: ClipOutcome | None = None


_LIBRARIES = ("ai-edge-litert", "av", "numpy", "onnxruntime", "opencv-python-headless")


class ResultCache:
    """A folder of results, one file for each clip.

    Args:
        folder: where the folders of all fingerprints lie.
        fingerprint: of model, code and libraries.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder = folder / fingerprint[:16]

    def find(self, clip: Path) -> ClipResult | None:
        """Return what came of the clip, if it is known; a file that cannot be read is not."""
        try:
            return msgspec.json.decode(self._path(clip).read_bytes(), type=ClipResult)
        except (OSError, msgspec.DecodeError):
            return None

    def keep(self, clip: Path, judged: ClipResult) -> None:
        """Remember what came of the clip: whole or not at all."""
        path = self._path(clip)
        path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(msgspec.json.encode(judged))
        unfinished.replace(path)

    def _path(self, clip: Path) -> Path:
        return self._folder / f"{clip.stem}.json"


def replay_fingerprint(model: Iterable[Path]) -> str:
    """Return the sha256 over the package's code, the model's files and the libraries' versions."""
    digest = hashlib.sha256()
    code = sorted(Path(maskwatch.__file__).parent.rglob("*.py"))
    for path in code:
        digest.update(meaning_of(path))
    for path in model:
        digest.update(path.name.encode() + hashlib.sha256(path.read_bytes()).digest())
    for library in _LIBRARIES:
        digest.update(f"{library} {_version(library)}".encode())
    return digest.hexdigest()


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""
