"""The memory, processor time and descriptors that a process uses."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """Resident memory in bytes, user and system time in seconds, open descriptors (None: unknown)."""

    resident: int
    cpu: float
    fds: int | None


def read_usage(pid: int) -> ProcessUsage | None:
    """Return what a process uses now; None if it is gone."""
    folder = Path("/proc") / str(pid)
    try:
        resident = int((folder / "statm").read_text(encoding="ascii").split()[1]) * _PAGE_BYTES
        stat = (folder / "stat").read_text(encoding="utf-8", errors="replace")
    except (OSError, IndexError, ValueError):
        return None
    # The command's name, in brackets, may hold any character.
    fields = stat.rpartition(")")[2].split()
    cpu = (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND
    return ProcessUsage(resident, cpu, _open_fds(folder))


def _open_fds(folder: Path) -> int | None:
    try:
        return len(os.listdir(folder / "fd"))  # noqa: PTH208 - only the number is needed
    except OSError:
        return None
