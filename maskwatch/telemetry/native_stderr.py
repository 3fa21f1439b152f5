"""The log of native libraries in a worker: what they write themselves becomes log events too.

FFmpeg, OpenCV, TFLite and ONNX Runtime write to file descriptor 2 without asking Python, and may
write a camera's address with its password. `capture_stderr` puts a pipe there; what arrives is
logged line by line, through the same redacting filter as all else. The pipe never blocks a writer:
when nobody reads, lines are lost rather than frames.
"""

from __future__ import annotations

import faulthandler
import fcntl
import logging
import os
import sys
import threading
from typing import TextIO

__all__ = ["StderrCapture", "capture_stderr", "hear_libav"]

_logger = logging.getLogger("maskwatch.native")
_STDERR = 2
_PIPE_BYTES = 1 << 20
_LONGEST_LINE = 2000


class StderrCapture:
    """Standard error, redirected; `stream` writes to where it went before."""

    def __init__(self, stream: TextIO, reader: int) -> None:
        self.stream = stream
        self._thread = threading.Thread(target=_pump, args=(reader,), name="native-log", daemon=True)
        self._thread.start()

    def close(self, timeout: float = 1.0) -> None:
        """Give standard error back, after what is still in the pipe was logged."""
        sys.stderr.flush()
        os.dup2(self.stream.fileno(), _STDERR)
        self._thread.join(timeout)


def capture_stderr() -> StderrCapture:
    """Redirect file descriptor 2 into the log; call it before `logs.setup(..., stream=...)`.

    Crash reports of the interpreter (`faulthandler`) still go to the original descriptor.
    """
    stream = os.fdopen(os.dup(_STDERR), "w", buffering=1, encoding="utf-8", errors="backslashreplace")
    reader, writer = os.pipe2(os.O_CLOEXEC)
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    os.set_blocking(writer, False)
    os.dup2(writer, _STDERR)
    os.close(writer)
    faulthandler.enable(file=stream)
    return StderrCapture(stream, reader)


def hear_libav(level: str) -> None:
    """Let FFmpeg's warnings into the log when our own level is debug; else it stays silent.

    At any other level each damaged packet would cost a call into Python.
    """
    import av.logging  # noqa: PLC0415 - only a process that decodes may load it

    av.logging.set_level(av.logging.WARNING if level == "debug" else None)


def _pump(reader: int) -> None:
    """Log each line that arrives until nobody holds the pipe's other end."""
    with os.fdopen(reader, "rb") as pipe:
        while line := pipe.readline(_LONGEST_LINE):
            text = line.decode("utf-8", "backslashreplace").rstrip()
            if text:
                _logger.info(text, extra={"origin": "stderr"})
