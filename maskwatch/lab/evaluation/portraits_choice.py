"""The portraits of the people in the scenes: the packaged ones and those of a chosen folder."""

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


@dataclass(frozen=True, slots=True)
class PortraitsChoice:
    """A choice of portraits. Cutting one out takes half a second, so `heads` does it on demand.

    Attributes:
        folder: of additional portraits; None for the packaged ones only.
        names: of the chosen files, relative to the folder; None for all.

    """

    folder: Path | None = None
    names: tuple[str, ...] | None = None

    def heads(self) -> tuple[Head, ...]:
        """Cut the portraits out, the packaged ones first. Raises DataError if there are none."""
        additional = heads_from(self.folder, self.names) if self.folder else ()
        return default_heads() + additional

    def fingerprint(self) -> str:
        """Return the sha256 over the portraits' files and the faces found in them, in order."""
        digest = hashlib.sha256()
        additional = portrait_files(self.folder, self.names) if self.folder else ()
        for path in (*packaged_portraits(), *additional):
            digest.update(hashlib.sha256(path.read_bytes()).digest())
            digest.update(f"{path.stem} {faces_in(path)}".encode())
        return digest.hexdigest()


def choose_portraits(folder: Path | None, listed: Path | None) -> PortraitsChoice:
    """Return the packaged portraits and those of `folder` that the file `listed` names, one a line.

    Raises DataError if a listed file is missing.
    """
    if folder is None or listed is None:
        return PortraitsChoice(folder)
    try:
        text = read_file(listed, MIB).decode("utf-8")
    except UnicodeDecodeError:
        raise DataError(f"{listed}: not UTF-8 text; expected a picture name per line") from None
    lines = (line.strip() for line in text.splitlines())
    names = tuple(line for line in lines if line and not line.startswith("#"))
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise DataError(f"{listed}: {missing[0]} and {len(missing) - 1} others are missing in {folder}")
    return PortraitsChoice(folder, names)
