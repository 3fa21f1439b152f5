"""How fast this machine replays a file, compared with the file's own time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator

from maskwatch.domain.camera import OVERLOADED_BELOW
from maskwatch.replay.replay import ReplayStep

# Of less video, the time is mostly that of other work.
_MIN_MEDIA_S = 5.0


class TimedSteps:
    """Yields the steps of a replay and measures what each takes, without what is done with them.

    Attributes:
        seconds: what the steps took, without the first one, which loads the models.
        media: seconds of video in these steps.
    """

    def __init__(self, steps: Iterable[ReplayStep]) -> None:
        self.seconds = self.media = 0.0
        self._steps = iter(steps)

    def __iter__(self) -> Iterator[ReplayStep]:
        first = next(self._steps, None)
        if first is None:
            return
        yield first
        while True:
            begun = time.monotonic()
            step = next(self._steps, None)
            if step is None:
                return
            self.seconds += time.monotonic() - begun
            self.media = step.moment - first.moment
            yield step

    @property
    def too_slow(self) -> bool:
        """Whether a camera with such pictures would be overloaded on this machine."""
        return self.media >= _MIN_MEDIA_S and self.speed < OVERLOADED_BELOW

    @property
    def speed(self) -> float:
        """Seconds of video in a second of work; infinite if nothing was measured."""
        return self.media / self.seconds if self.media and self.seconds else math.inf
