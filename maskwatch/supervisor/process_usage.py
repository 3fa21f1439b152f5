"""The memory, processor time and descriptors that a process uses."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class ProcessUsage:
    """What a process uses.

    Attributes:
        resident: memory in bytes.
        cpu: user and system time in seconds.
        fds: open descriptors, None if unknown.
        waited: seconds for which its present threads were ready and had no processor.
    """

    resident: int
    cpu: float
    fds: int | None
    waited: float = 0.0


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
    return ProcessUsage(resident, cpu, _open_fds(folder), _waited(folder))


def _waited(folder: Path) -> float:
    """Return the seconds that all threads waited for a processor; 0 where Linux does not say."""
    waited = 0
    for statistics in folder.glob("task/*/schedstat"):
        with suppress(OSError, ValueError, IndexError):  # a thread may end now
            waited += int(statistics.read_text(encoding="ascii").split()[1])
    return waited / 1e9


def _open_fds(folder: Path) -> int | None:
    try:
        return len(os.listdir(folder / "fd"))  # noqa: PTH208 - only the number is needed
    except OSError:
        return None
