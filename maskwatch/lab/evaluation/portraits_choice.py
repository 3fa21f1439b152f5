"""Whose faces play in the scenes: the packaged portraits and those that are asked for."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from maskwatch.errors import DataError
from maskwatch.files import MIB, read_file
from maskwatch.lab.scenes.portraits import (
    Head,
    default_heads,
    faces_in,
    heads_from,
    packaged_portraits,
    portrait_files,
)

__all__ = ["PortraitsChoice", "choose_portraits"]


@dataclass(frozen=True, slots=True)
class PortraitsChoice:
    """A choice of portraits. To cut them out takes half a second each, so it is done on demand.

    Attributes:
        folder: of further portraits; None for the packaged ones alone.
        names: which of the folder, relative to it; None for all.
    """

    folder: Path | None = None
    names: tuple[str, ...] | None = None

    def heads(self) -> tuple[Head, ...]:
        """Cut the portraits out, the packaged ones first. Raises DataError where there is none."""
        further = heads_from(self.folder, self.names) if self.folder else ()
        return default_heads() + further

    def fingerprint(self) -> str:
        """Return the sha256 over the portraits' files and the faces found in them, in their order."""
        digest = hashlib.sha256()
        further = portrait_files(self.folder, self.names) if self.folder else ()
        for path in (*packaged_portraits(), *further):
            digest.update(hashlib.sha256(path.read_bytes()).digest())
            digest.update(f"{path.stem} {faces_in(path)}".encode())
        return digest.hexdigest()


def choose_portraits(folder: Path | None, listed: Path | None) -> PortraitsChoice:
    """Return the packaged portraits and those of `folder`; the file `listed` names which, one a line.

    Raises DataError when one that is listed is not there.
    """
    if folder is None or listed is None:
        return PortraitsChoice(folder)
    try:
        text = read_file(listed, MIB).decode("utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{listed}: is not text; expected a picture's name on each line") from None
    lines = (line.strip() for line in text.splitlines())
    names = tuple(line for line in lines if line and not line.startswith("#"))
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{listed}: {missing[0]} and {len(missing) - 1} more are not in {folder}")
    return PortraitsChoice(folder, names)
