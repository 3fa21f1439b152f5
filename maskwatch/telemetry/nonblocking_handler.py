"""A log handler that drops lines instead of blocking on a reader that is too slow."""

from __future__ import annotations

import logging
import os
import select
import stat
from typing import TextIO

_MAX_WAIT = 0.2  # seconds to wait for a busy reader before a line is dropped
_CHUNK = 4096  # PIPE_BUF of Linux: a writable pipe has space for this many bytes


def handler_for(stream: TextIO) -> logging.Handler:
    """Return a handler that writes to `stream`.

    Files and terminals get a standard handler, pipes and sockets one that does not block: a process
    that waits for its log's reader sends no heartbeat and does not end on request.
    """
    try:
        fd = stream.fileno()
        mode = os.fstat(fd).st_mode
    except (OSError, ValueError):
        return logging.StreamHandler(stream)
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        return _NonBlockingHandler(fd)
    return logging.StreamHandler(stream)


class _NonBlockingHandler(logging.Handler):
    """Drops lines that the reader does not take, and logs their number when it reads again."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._dropped = 0
        self._unfinished = b""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line, or count it as dropped; never raises, as logging requires."""
        try:
            if self._dropped and self._write(self._drop_notice(record)):
                self._dropped = 0
            if self._dropped or not self._write(record):
                self._dropped += 1
        except Exception:  # noqa: BLE001 - as logging.Handler: a line that cannot be written must not end the process
            self.handleError(record)

    def _drop_notice(self, record: logging.LogRecord) -> logging.LogRecord:
        text = "%d log lines were lost here: the reader of this log is too slow"
        return logging.LogRecord(record.name, logging.WARNING, "", 0, text, (self._dropped,), None)

    def _write(self, record: logging.LogRecord) -> bool:
        data = self._unfinished + f"{self.format(record)}\n".encode(errors="backslashreplace")
        while data:
            if not self._poll.poll(0 if self._dropped else _MAX_WAIT * 1000):
                return False
            data = data[os.write(self._fd, data[:_CHUNK]) :]
            self._unfinished = b"\n" if data else b""
        return True
