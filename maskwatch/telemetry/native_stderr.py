"""Captures what native libraries write to standard error, as log events.

FFmpeg, OpenCV and TFLite write to file descriptor 2 directly, and may write a camera's
address with its password. `capture_stderr` replaces the descriptor by a pipe, whose lines pass the
redacting filter like every log event. The pipe never blocks a writer: without a reader, lines are
lost rather than frames.
"""

from __future__ import annotations

import contextlib
import faulthandler
import fcntl
import logging
import os
import sys
import threading
from typing import TextIO

_logger = logging.getLogger("maskwatch.native")
_STDERR = 2
_PIPE_BYTES = 1 << 20
_MAX_LINE = 2000


class StderrCapture:
    """Redirected standard error; `stream` writes to the original one."""

    def __init__(self, stream: TextIO, reader: int) -> None:
        self.stream = stream
        self._thread = threading.Thread(target=_pump, args=(reader,), name="native-log", daemon=True)
        self._thread.start()

    def close(self, timeout: float = 1.0) -> None:
        """Restore standard error, and log what is still in the pipe."""
        sys.stderr.flush()
        os.dup2(self.stream.fileno(), _STDERR)
        self._thread.join(timeout)


def capture_stderr() -> StderrCapture:
    """Redirect file descriptor 2 into the log; call it before `logs.setup(..., stream=...)`.

    Crash reports of the interpreter (`faulthandler`) still go to the original descriptor.
    """
    stream = os.fdopen(os.dup(_STDERR), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    reader, writer = os.pipe2(os.O_CLOEXEC)
    # All pipes of a user share a limit (64 MiB); beyond it the usual size must do.
    with contextlib.suppress(PermissionError):
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    os.set_blocking(writer, False)
    os.dup2(writer, _STDERR)
    os.close(writer)
    faulthandler.enable(file=stream)
    return StderrCapture(stream, reader)


def enable_libav_log(level: str) -> None:
    """Log FFmpeg's warnings if the level is debug; else keep FFmpeg silent.

    At any other level each damaged packet would cost a call into Python.
    """
    import av.logging  # noqa: PLC0415 - only a process that decodes may load it

    av.logging.set_level(av.logging.WARNING if level == "debug" else None)


def _pump(reader: int) -> None:
    """Log each line until the pipe's other end is closed."""
    with os.fdopen(reader, "rb") as pipe:
        while line := pipe.readline(_MAX_LINE):
            text = line.decode("utf-8", "backslashreplace").rstrip()
            if text:
                _logger.info(text, extra={"origin": "stderr"})
