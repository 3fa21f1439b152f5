"""Writes log lines to a pipe or a socket without waiting for whoever reads it, or does not."""

from __future__ import annotations

import logging
import os
import select
import stat
from typing import TextIO

__all__ = ["handler_for"]

_PATIENCE = 0.2  # seconds that a reader may be busy before a line is given up
_CHUNK = 4096  # PIPE_BUF of Linux: a pipe that can be written to has space for so many bytes


def handler_for(stream: TextIO) -> logging.Handler:
    """Return what writes to `stream`.

    A file or a terminal is written to as ever. Who reads a pipe may have stopped to read, and a
    process that waited for it would neither watch, nor beat, nor end when it is told to.
    """
    try:
        fd = stream.fileno()
        mode = os.fstat(fd).st_mode
    except (OSError, ValueError):
        return logging.StreamHandler(stream)
    if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
        return _Outlet(fd)
    return logging.StreamHandler(stream)


class _Outlet(logging.Handler):
    """Gives lines up that nobody takes, and says how many once they are taken again."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        self._lost = 0
        self._torn = b""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line, or count it; never raises, as logging wants it."""
        try:
            if self._lost and self._write(self._loss(record)):
                self._lost = 0
            if self._lost or not self._write(record):
                self._lost += 1
        except Exception:  # noqa: BLE001 - as logging.Handler: a line that can't be written ends nothing
            self.handleError(record)

    def _loss(self, record: logging.LogRecord) -> logging.LogRecord:
        text = "%d lines were lost here: nobody read this log fast enough"
        return logging.LogRecord(record.name, logging.WARNING, "", 0, text, (self._lost,), None)

    def _write(self, record: logging.LogRecord) -> bool:
        data = self._torn + f"{self.format(record)}\n".encode(errors="backslashreplace")
        while data:
            if not self._poll.poll(0 if self._lost else _PATIENCE * 1000):
                return False
            data = data[os.write(self._fd, data[:_CHUNK]) :]
            self._torn = b"\n" if data else b""
        return True
