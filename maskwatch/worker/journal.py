"""A witness for tests of durability: an append-only file of what `record` was acknowledged."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

from maskwatch.ipc.messages import Recorded

__all__ = ["JOURNAL_VARIABLE", "journal_of"]

JOURNAL_VARIABLE = "MASKWATCH_TEST_JOURNAL"


def journal_of(environ: Mapping[str, str]) -> Callable[[Recorded], object]:
    """Return what notes an acknowledgement: nothing, unless a test names a file.

    One line for each, `violation-id change-number stored`, appended with a single write, so that
    any number of workers may share the file and a kill never tears a line.
    """
    path = environ.get(JOURNAL_VARIABLE, "")
    if not path:
        return lambda _: None
    fd = os.open(Path(path), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    return lambda done: os.write(fd, f"{done.violation} {done.number} {done.stored}\n".encode())
