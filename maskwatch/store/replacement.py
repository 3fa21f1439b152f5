"""Puts a completed new database in the place of the old one, which is kept beside it.

The new one has a name of its own first. A kill or a power loss at any instant loses nothing: either
the old one is still in its place, or the next start puts the new one there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from maskwatch.files import fsync_directory
from maskwatch.store.data_dir import DataDir
from maskwatch.store.wal import wal_and_shm


@dataclass(slots=True)
class Repair:
    """The result of a repair.

    Attributes:
        kept: the new path of the damaged file, None if there was no file.
        rows: how many were copied, by table; empty if that was not counted.
        losses: tables of which some rows could not be read.
    """

    kept: Path | None = None
    rows: dict[str, int] = field(default_factory=dict)
    losses: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        kept = f"the damaged file is kept as {self.kept}" if self.kept else "the damaged file was gone"
        rows = ", ".join(f"{count} of {name}" for name, count in self.rows.items() if count) or "nothing"
        losses = f"; rows of {', '.join(sorted(self.losses))} could not be read" if self.losses else ""
        return f"{kept}; copied: {rows if self.rows else 'all rows'}{losses}"


def finish_repair(
    data_dir: DataDir, now: datetime, repaired: Repair | None = None, *, reason: str = "damaged"
) -> Repair | None:
    """Put a completed new database in its place; return the repair, None if there is none.

    A -wal of the old one is moved aside even without its database: SQLite would apply it to the new
    one. `reason` is part of the new name of the old one.
    """
    if not data_dir.repaired.exists():
        return None
    repaired = repaired or Repair()
    repaired.kept = move_aside(data_dir.database, now, reason)
    data_dir.repaired.rename(data_dir.database)
    fsync_directory(data_dir.path)
    return repaired


def move_aside(path: Path, now: datetime, reason: str) -> Path | None:
    """Rename a database and its -wal and -shm together, as far as they exist; None if none does.

    The three names still belong together, so that SQLite can open them. The database itself is
    renamed last: after a kill in between, the next start still finds it damaged.

    Returns:
        The new path of the database.
    """
    target = path.with_name(f"{path.stem}.{reason}-{now:%Y%m%dT%H%M%S}.db")
    number = 1
    while target.exists():
        number += 1
        target = path.with_name(f"{path.stem}.{reason}-{now:%Y%m%dT%H%M%S}-{number}.db")
    pairs = zip((*wal_and_shm(path), path), (*wal_and_shm(target), target), strict=True)
    existing = [(old, new) for old, new in pairs if old.exists()]
    for old, new in existing:
        old.rename(new)
    fsync_directory(path.parent)
    return target if existing else None
