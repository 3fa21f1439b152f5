"""The real sandboxed worker, which journals each change that the recorder has acknowledged.

The file that MASKWATCH_TEST_JOURNAL names gets a line for each, `violation-id change-number stored`. A
line is appended with a single write, so that any number of workers may share the file and a kill
never tears a line.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from maskwatch.ipc.messages import Recorded
from maskwatch.worker.main import main

JOURNALING_WORKER = "tests.fakes.journaling_worker"
_VARIABLE = "MASKWATCH_TEST_JOURNAL"


def journal_environment(journal: Path) -> dict[str, str]:
    """Return the environment of a `QuickDaemon` whose workers write this journal."""
    return {"MASKWATCH_TEST_WORKER": JOURNALING_WORKER, _VARIABLE: str(journal)}


def open_journal() -> Callable[[Recorded], object]:
    """Return what journals a change; to be called before the sandbox removes the right to open files."""
    path = os.environ[_VARIABLE]
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def append(recorded: Recorded) -> None:
        os.write(fd, f"{recorded.violation} {recorded.number} {recorded.stored}\n".encode())

    return append


if __name__ == "__main__":
    code = main(sys.argv[1:], on_recorded=open_journal())
    sys.stderr.flush()
    os._exit(code)
