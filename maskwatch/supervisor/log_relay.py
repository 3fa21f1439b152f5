"""Passes on the log lines of a worker, which has no descriptor of the daemon's own log.

With one, a worker that was taken over could read what others write into a pipe, overwrite a file, write
lines in the name of others, or fill a disk.
"""

from __future__ import annotations

import asyncio
import logging
import os
from io import FileIO

from maskwatch.clock import Clock
from maskwatch.ipc.token_bucket import TokenBucket
from maskwatch.telemetry import logs

_log = logging.getLogger(__name__)
_BYTES_PER_SECOND, _BURST = 64 << 10, 1 << 20
_READ_BYTES = 64 << 10
_MAX_LINE = 16 << 10
_PAUSE_S = 1.0


class LogRelay:
    """Reads a pipe, which it owns, until `close`.

    A line that does not say that it is of this camera's worker is logged as one that it wrote. A worker
    that writes too much is read later; it then drops lines, and counts them.
    """

    def __init__(
        self, pipe: FileIO, camera: str, *, loop: asyncio.AbstractEventLoop, clock: Clock
    ) -> None:
        self._pipe = pipe
        self._camera = camera
        self._loop = loop
        self._clock = clock
        self._budget = TokenBucket(_BYTES_PER_SECOND, _BURST, clock.monotonic())
        self._unfinished = b""
        self._pause: asyncio.TimerHandle | None = None
        os.set_blocking(pipe.fileno(), False)
        loop.add_reader(pipe, self._readable)

    def close(self) -> None:
        """Pass on what is left; to be called once."""
        while self._budget.available(self._clock.monotonic()) > 0 and self._read():
            pass
        if self._unfinished:
            self._pass_on(self._unfinished)
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._pipe)
        self._pipe.close()

    def _readable(self) -> None:
        if not self._read():  # the worker has closed it, or has ended and will be reaped
            self._loop.remove_reader(self._pipe)
        elif self._budget.available(self._clock.monotonic()) <= 0:
            self._loop.remove_reader(self._pipe)
            self._pause = self._loop.call_later(_PAUSE_S, self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._loop.add_reader(self._pipe, self._readable)

    def _read(self) -> bool:
        """Read once; return whether there may be more."""
        data = self._pipe.read(_READ_BYTES) or b""
        self._budget.spend(len(data), self._clock.monotonic())
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        if len(self._unfinished) > _MAX_LINE:
            lines.append(self._unfinished)
            self._unfinished = b""
        for line in lines:
            self._pass_on(line[:_MAX_LINE])
        return bool(data)

    def _pass_on(self, line: bytes) -> None:
        text = line.decode("utf-8", "backslashreplace")
        if logs.is_line_of(text, "worker", self._camera):
            logs.pass_on(text)
        elif text.strip():
            _log.warning(text, extra={"camera": self._camera, "origin": "stderr"})
