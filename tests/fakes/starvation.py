"""A process that gets little processor time."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def starved(pid: int, stopped: float) -> Iterator[None]:
    """Let a process run for 20 ms only after every `stopped` seconds."""
    over = threading.Event()

    def starve() -> None:
        with suppress(ProcessLookupError):  # it was replaced: the test notices by what it waits for
            while not over.is_set():
                os.kill(pid, signal.SIGSTOP)
                time.sleep(stopped)
                os.kill(pid, signal.SIGCONT)
                time.sleep(0.02)

    thread = threading.Thread(target=starve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
