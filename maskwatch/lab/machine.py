"""A description of this machine, as it accompanies measured figures."""

from __future__ import annotations

import os
import platform
from pathlib import Path


def machine() -> str:
    """Return processor, cores, system and Python version of this machine."""
    cores = os.cpu_count() or 1
    return f"{_processor()}, {cores} cores, {platform.system()}, Python {platform.python_version()}"


def cores() -> float:
    """Return how many processors this process may use: by affinity and by its control group."""
    quota = _control_group("cpu.max").split()
    allowed = int(quota[0]) / int(quota[1]) if quota and quota[0] != "max" else float("inf")
    return min(float(len(os.sched_getaffinity(0))), allowed)


def memory() -> float:
    """Return the MiB of memory that this process may use."""
    limit = _control_group("memory.max").strip()
    installed = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(installed, int(limit) if limit.isdecimal() else installed) / 2**20


def _control_group(name: str) -> str:
    """Return a limit of this process's control group, "" where there is none."""
    try:
        own = Path("/proc/self/cgroup").read_text(encoding="ascii").strip().rpartition("::/")[2]
        return (Path("/sys/fs/cgroup") / own / name).read_text(encoding="ascii")
    except (OSError, UnicodeError):
        return ""


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
