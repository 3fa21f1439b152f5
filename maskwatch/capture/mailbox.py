"""A slot for one picture between the thread that decodes and the one that analyses."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import datetime

import av

from maskwatch.errors import SourceError


@dataclass(frozen=True, slots=True)
class Sample:
    """A decoded picture, when it arrived (UTC, and monotonic seconds), and the shape of its pixels."""

    video: av.VideoFrame
    captured_at: datetime
    moment: float
    pixel_aspect: float = 1.0


class Mailbox:
    """Holds at most one sample, the newest; `put` never waits."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sample: Sample | None = None
        self._error: SourceError | None = None

    def put(self, sample: Sample) -> bool:
        """Store a sample; return True if it replaced one that was not taken."""
        with self._changed:
            replaced = self._sample is not None
            self._sample = sample
            self._changed.notify()
            return replaced

    def fail(self, error: SourceError) -> None:
        with self._changed:
            self._error = error
            self._changed.notify()

    def take(self, timeout: float) -> Sample | None:
        """Take the newest sample, waiting up to `timeout` seconds; None if there is none.

        Raises the error given to `fail` once the last sample is taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._sample or self._error, max(0.0, timeout))
            sample, self._sample = self._sample, None
            if sample is None and self._error is not None:
                raise self._error
            return sample
