"""Leaks of a storm: descriptors, temporary files, sockets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from maskwatch.supervisor.process_usage import read_usage

_MAX_MORE = 3  # descriptors: connections vary


class Leftovers:
    """Compares descriptors and files after the storm with those before it.

    Attributes:
        env: the environment in which the daemon's temporary files are found.
        faults: descriptions of the leaks.
    """

    def __init__(self, temporary: Path) -> None:
        temporary.mkdir()
        self.env = {"TMPDIR": str(temporary)}
        self.faults: list[str] = []
        self._temporary = temporary
        self._before: dict[str, int] = {}

    def before(self, pids: Mapping[str, int]) -> None:
        """Count the descriptors of healthy processes."""
        self._before = _descriptors(pids)

    def after(self, pids: Mapping[str, int]) -> None:
        """Compare the descriptors of the present processes."""
        for name, count in _descriptors(pids).items():
            if count > self._before[name] + _MAX_MORE:
                self.faults.append(f"{name} has {count} descriptors, {self._before[name]} before")

    def files(self, files: Sequence[Path]) -> None:
        """Report the files that remain after the end of the daemon."""
        left = [*files, *self._temporary.iterdir()]
        if left:
            self.faults.append("left over: " + ", ".join(map(str, left)))


def _descriptors(pids: Mapping[str, int]) -> dict[str, int]:
    usage = {name: read_usage(pid) for name, pid in pids.items()}
    return {name: found.fds for name, found in usage.items() if found is not None and found.fds}
