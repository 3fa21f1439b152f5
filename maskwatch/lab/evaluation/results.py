"""Stores the result of each clip, so that an interrupted evaluation resumes where it stopped.

A result is valid for one model, one version of the code and one set of libraries, since replays are
byte-identical. Each such combination has its own folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

import maskwatch
from maskwatch.lab.evaluation.clip_cache import canonical_code
from maskwatch.lab.evaluation.events import ClipOutcome
from maskwatch.lab.evaluation.tracks import TrackFindings


class ClipResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of one clip with the motion gate, and (`ungated`) without it.

    Negative footage has no visit to miss and is not replayed without the gate.
    """

    outcome: ClipOutcome
    findings: TrackFindings
    ungated: ClipOutcome | None = None


_LIBRARIES = ("ai-edge-litert", "av", "numpy", "opencv-python-headless")


class ResultCache:
    """A folder of results, one file for each clip.

    Args:
        folder: parent of one folder per fingerprint.
        fingerprint: of model, code and libraries.
    """

    def __init__(self, folder: Path, fingerprint: str) -> None:
        self._folder = folder / fingerprint[:16]

    def find(self, clip: Path) -> ClipResult | None:
        """Return the stored result of the clip; None if there is none or it cannot be read."""
        try:
            return msgspec.json.decode(self._path(clip).read_bytes(), type=ClipResult)
        except (OSError, msgspec.DecodeError):
            return None

    def store(self, clip: Path, result: ClipResult) -> None:
        """Store the result of the clip, atomically."""
        path = self._path(clip)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".part")
        temporary.write_bytes(msgspec.json.encode(result))
        temporary.replace(path)

    def _path(self, clip: Path) -> Path:
        return self._folder / f"{clip.stem}.json"


def replay_fingerprint(model: Iterable[Path]) -> str:
    """Return the sha256 over the package's code, the model's files and the libraries' versions."""
    digest = hashlib.sha256()
    for path in sorted(Path(maskwatch.__file__).parent.rglob("*.py")):
        digest.update(canonical_code(path))
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
