"""Pictures between the thread that decodes and the one that analyses."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from datetime import datetime

import av

from maskwatch.errors import SourceError

_MAX_SAMPLES = 8
# Samples that arrive faster than this share of their own time belong to a burst.
_BURST_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Sample:
    """A decoded picture.

    Attributes:
        video: the picture.
        captured_at: UTC.
        moment: the same time in monotonic seconds.
        arrived: when its packet arrived, in monotonic seconds.
        pixel_aspect: width of a pixel over its height.
    """

    video: av.VideoFrame
    captured_at: datetime
    moment: float
    arrived: float
    pixel_aspect: float = 1.0


class Mailbox:
    """Holds the newest sample, or those of one burst; `put` never waits."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._samples: deque[Sample] = deque()
        self._error: SourceError | None = None

    def put(self, sample: Sample) -> int:
        """Store a sample; return how many that were not taken it replaced.

        The samples of a burst are all kept, up to 8 of them: the camera's network delayed them, and
        not the reader.
        """
        with self._changed:
            waiting = self._samples
            kept = _MAX_SAMPLES - 1 if waiting and _is_burst(waiting[-1], sample) else 0
            replaced = max(0, len(waiting) - kept)
            for _ in range(replaced):
                waiting.popleft()
            waiting.append(sample)
            self._changed.notify()
            return replaced

    def fail(self, error: SourceError) -> None:
        with self._changed:
            self._error = error
            self._changed.notify()

    def take(self, timeout: float) -> Sample | None:
        """Take the oldest sample, waiting up to `timeout` seconds; None if there is none.

        Raises the error given to `fail` once the last sample is taken.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._samples or self._error, max(0.0, timeout))
            if self._samples:
                return self._samples.popleft()
            if self._error is not None:
                raise self._error
            return None


def _is_burst(before: Sample, sample: Sample) -> bool:
    return sample.arrived - before.arrived < _BURST_SHARE * (sample.moment - before.moment)
