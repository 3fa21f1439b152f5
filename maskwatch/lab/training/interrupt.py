"""Ctrl-C in a training run: TensorFlow sometimes swallows the exception."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Self


class InterruptGuard:
    """Raises KeyboardInterrupt after Ctrl-C even if TensorFlow swallows or replaces it.

    An exception that ends the `with` block after Ctrl-C becomes KeyboardInterrupt.
    """

    def __init__(self) -> None:
        self._requested = False

    def __enter__(self) -> Self:
        self._before = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        signal.signal(signal.SIGINT, self._before)
        if isinstance(error, Exception):
            self.check()

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._requested = True
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raise KeyboardInterrupt if Ctrl-C was pressed before."""
        if self._requested:
            raise KeyboardInterrupt
