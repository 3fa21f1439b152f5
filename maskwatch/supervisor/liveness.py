"""Whether the supervisor can still do its work: start a child, and answer on its control socket.

A main loop that turns proves neither: without a free descriptor or process it replaces no child. A check
takes about a millisecond.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from pathlib import Path

from maskwatch.ipc.control import MAX_LINE, StatusRequest, encode_line

_DESCRIPTORS = 12  # what the start of a child needs at one time
_TIMEOUT = 5.0
_POLL_INTERVAL = 0.01


class Liveness:
    """Checks the process that it is used in.

    Attributes:
        fault: why the newest check failed, "" if it succeeded.
    """

    def __init__(self, control: Path) -> None:
        """`control`: the path of the control socket; not asked where there is none."""
        self.fault = ""
        self._control = control

    async def check(self) -> bool:
        """Return whether a child could be started and the control socket answers."""
        try:
            async with asyncio.timeout(_TIMEOUT):
                _open_descriptors()
                await _start_process()
                await self._ask()
        except (OSError, asyncio.LimitOverrunError, TimeoutError) as error:
            self.fault = f"the supervisor could not start a child, or answer: {_reason(error)}"
        else:
            self.fault = ""
        return not self.fault

    async def _ask(self) -> None:
        if not self._control.exists():  # it is waited for, or made again: a restart would not help
            return
        reader, writer = await asyncio.open_unix_connection(self._control, limit=MAX_LINE)
        with contextlib.closing(writer):
            writer.write(encode_line(StatusRequest()))
            if not await reader.readline():
                raise ConnectionResetError("the control socket does not answer")


def _open_descriptors() -> None:
    opened: list[int] = []
    try:
        while len(opened) < _DESCRIPTORS:
            opened += os.pipe()
    finally:
        for fd in opened:
            os.close(fd)


async def _start_process() -> None:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    try:
        while os.waitpid(pid, os.WNOHANG) == (0, 0):
            await asyncio.sleep(_POLL_INTERVAL)
    except BaseException:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
