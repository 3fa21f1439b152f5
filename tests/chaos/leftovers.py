"""What a storm may not leave behind: descriptors, temporary files, sockets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from maskwatch.supervisor.process_usage import read_usage

__all__ = ["Leftovers"]

_MORE = 3  # descriptors: a connection may just be there or not


class Leftovers:
    """Compares what there is after the storm with what there was before it.

    Attributes:
        env: has the daemon's processes put temporary files where they are seen.
        faults: in words, what was left over.
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
        """Count them again in the processes that the storm has left."""
        for name, count in _descriptors(pids).items():
            if count > self._before[name] + _MORE:
                self.faults.append(f"{name} has {count} descriptors, {self._before[name]} before")

    def files(self, files: Sequence[Path]) -> None:
        """Judge what lies about now that everything has ended."""
        left = [*files, *self._temporary.iterdir()]
        if left:
            self.faults.append("left over: " + ", ".join(map(str, left)))


def _descriptors(pids: Mapping[str, int]) -> dict[str, int]:
    usage = {name: read_usage(pid) for name, pid in pids.items()}
    return {name: found.fds for name, found in usage.items() if found is not None and found.fds}
