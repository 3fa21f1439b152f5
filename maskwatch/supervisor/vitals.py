"""What a process uses, from /proc: memory, processor time, descriptors."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Vitals", "read_vitals"]

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Vitals:
    """Resident memory in bytes, user and system time in seconds, open descriptors (None: unknown)."""

    resident: int
    cpu: float
    fds: int | None


def read_vitals(pid: int) -> Vitals | None:
    """Return what a process uses now; None if it is gone."""
    folder = Path("/proc") / str(pid)
    try:
        resident = int((folder / "statm").read_text(encoding="ascii").split()[1]) * _PAGE
        stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
    except (OSError, IndexError, ValueError):
        return None
    # The command's name, in brackets, may hold anything.
    fields = stat.rpartition(")")[2].split()
    cpu = (int(fields[11]) + int(fields[12])) / _TICKS
    return Vitals(resident, cpu, _descriptors(folder))


def _descriptors(folder: Path) -> int | None:
    try:
        return len(os.listdir(folder / "fd"))  # noqa: PTH208 - only the number is wanted
    except OSError:
        return None
