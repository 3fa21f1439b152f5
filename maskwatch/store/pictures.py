"""Anonymized pictures on disk: written atomically, with names that identify them."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from maskwatch.files import fsync_directory

_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_NAME = re.compile(rf"{_ID}-[1-9]\d{{0,9}}\.jpg|\.{_ID}-[1-9]\d{{0,9}}\.jpg\.tmp")
_JPEG_START = b"\xff\xd8\xff"


@dataclass(frozen=True, slots=True)
class StoredPicture:
    """A picture on disk: its path relative to the folder of pictures, its size and digest.

    `sha256` is None for a picture that an earlier version stored.
    """

    path: str
    size: int
    sha256: str | None


def write_picture(
    folder: Path, violation: UUID, number: int, at: datetime, jpeg: bytes
) -> StoredPicture:
    """Write a picture durably: temporary file, fsync, rename, fsync of the folder.

    Raises:
        OSError: it cannot be written (no space, no permission).
        ValueError: the bytes are not a JPEG, or the name does not match the pattern.
    """
    if not jpeg.startswith(_JPEG_START):
        raise ValueError("the picture is not a JPEG")
    day = folder / at.astimezone(UTC).strftime("%Y-%m-%d")
    name = f"{violation}-{number}.jpg"
    if not _DAY.fullmatch(day.name) or not _NAME.fullmatch(name):
        raise ValueError("the picture's name does not match the pattern")  # never removed
    if not day.is_dir():
        _make_day(day)
    temporary = day / f".{name}.tmp"
    try:
        _write_durably(temporary, jpeg)
        temporary.rename(day / name)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    fsync_directory(day)
    return StoredPicture(f"{day.name}/{name}", len(jpeg), hashlib.sha256(jpeg).hexdigest())


def _make_day(day: Path) -> None:
    """Create the folder of a day durably, or not at all: no later picture syncs its name."""
    day.mkdir(mode=0o700, exist_ok=True)
    try:
        fsync_directory(day.parent)
    except OSError:
        day.rmdir()
        raise


def _write_durably(path: Path, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def is_altered(folder: Path, stored: StoredPicture) -> bool:
    """Return whether the file differs from what was written; one that is missing does not.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with (folder / stored.path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != stored.size or stored.sha256 is None:
                return size != stored.size
            return hashlib.file_digest(file, "sha256").hexdigest() != stored.sha256
    except FileNotFoundError:
        return False


def orphans(folder: Path, before: datetime) -> Iterator[str]:
    """Yield the relative paths of pictures that were last written before `before`.

    Only files whose names match the pattern; the caller skips those that a row refers to.
    """
    for day in day_folders(folder):
        for entry in stored_in(day):
            if entry.stat(follow_symlinks=False).st_mtime < before.timestamp():
                yield f"{day.name}/{entry.name}"


def day_folders(folder: Path) -> Iterator[Path]:
    """Yield the folders of days, oldest first."""
    for day in sorted(folder.iterdir()):
        if _DAY.fullmatch(day.name) and not day.is_symlink() and day.is_dir():
            yield day


def stored_in(day: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the files in the folder of a day whose names match the pattern of pictures."""
    for entry in os.scandir(day):
        if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
            yield entry
