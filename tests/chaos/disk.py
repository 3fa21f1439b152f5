"""The file system of the data directory: a small tmpfs that can be filled, or become read-only."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from pathlib import Path

from tests.fakes.waiting import wait_until


class Disk:
    """Mounted at `folder`, in the mount namespace of this process."""

    def __init__(self, folder: Path, megabytes: int = 48) -> None:
        folder.mkdir(mode=0o700)
        self._folder = folder
        self._filler = folder / "filler"
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", str(folder)],
            check=True,
        )

    def fill(self) -> None:
        """Fill it to the last byte."""
        with suppress(OSError), self._filler.open("ab", buffering=0) as file:
            while file.write(b"\0" * 65536):
                pass

    def free(self) -> None:
        """Give the space back, also if it is read-only."""
        self.make_writable()
        self._filler.unlink(missing_ok=True)

    def make_read_only(self) -> None:
        """Make it read-only, once the processes that were killed have closed their files."""
        wait_until(lambda: self._remounted("ro"), 10, "the disk is read-only")

    def make_writable(self) -> None:
        assert self._remounted("rw")

    def _remounted(self, option: str) -> bool:
        command = ["mount", "-o", f"remount,{option}", str(self._folder)]
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
