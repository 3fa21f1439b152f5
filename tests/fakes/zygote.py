"""A zygote as the supervisor keeps it, for tests that fork from it.

`python -m tests.fakes.zygote SECONDS` starts one, forks a worker that sleeps, prints both process ids,
and waits.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from maskwatch.clock import SystemClock
from maskwatch.supervisor.process_usage import ProcessUsage, read_usage
from maskwatch.supervisor.timeouts import Timeouts
from maskwatch.supervisor.zygote import ForkedProcess, Zygote
from tests.fakes.quick_zygote import QUICK_ZYGOTE
from tests.fakes.waiting import wait_until

CODE = "tests.fakes.code"


class RunningZygote(Zygote):
    """A zygote that is ready; `reasons` are those of its ends.

    Its event loop runs only in these methods. `with` ends it, and the workers that were forked.
    """

    def __init__(self, module: str = QUICK_ZYGOTE, **timeouts: float) -> None:
        self.reasons: list[str] = []
        self.event_loop = asyncio.new_event_loop()
        self._forked: list[ForkedProcess] = []
        super().__init__(
            self.event_loop, Timeouts(**timeouts), SystemClock(), self.reasons.append, module
        )

    def __enter__(self) -> Self:
        self.turn_until(lambda: self.ready)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for process in self._forked:
            if process.poll() is None:
                process.kill()
                wait_until(lambda process=process: process.poll() is not None, 10, "it has ended")
        self.stop()
        self.event_loop.close()

    def turn_until(self, condition: Callable[[], bool]) -> None:
        """Turn its event loop, and tick."""

        def turned() -> bool:
            self.tick(wanted=True)
            self.event_loop.run_until_complete(asyncio.sleep(0))
            return condition()

        wait_until(turned, 60, "the zygote is where it should be")

    def run(self, code: str) -> tuple[ForkedProcess | None, str]:
        """Fork a worker that runs `code`; return it, and its output until it closes it."""
        reader, log = os.pipe2(os.O_CLOEXEC)
        with os.fdopen(reader, encoding="utf-8") as output:
            own, peer = socket.socketpair()
            with own, peer:
                # The name of the option is the argument before the descriptor's number.
                process = self.fork(CODE, {code: peer.fileno()}, log)
            os.close(log)
            if process is not None:
                self._forked.append(process)
            return process, output.read()

    def sleeping_worker(self) -> ForkedProcess:
        """Fork a worker that sleeps, and has closed its output."""
        process, _ = self.run("import os, time; os.close(1); os.close(2); time.sleep(600)")
        assert process is not None
        return process

    @property
    def usage(self) -> ProcessUsage:
        assert self.pid is not None
        found = read_usage(self.pid)
        assert found is not None
        return found


def threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


if __name__ == "__main__":
    with RunningZygote() as zygote:
        sys.stdout.write(f"{zygote.pid} {zygote.sleeping_worker().pid}\n")
        sys.stdout.flush()
        time.sleep(float(sys.argv[1]))
