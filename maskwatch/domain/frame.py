"""One sampled picture of a camera. It never leaves the worker."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from maskwatch.domain.geometry import Box

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Image = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame at analysis size, with the full picture on demand.

    Attributes:
        sequence: number of the sampled frame since the source was opened, from 0.
        captured_at: wall time (UTC) at which it arrived; in a replay, the file's own time.
        moment: monotonic seconds of the same instant; in a replay, the file's seconds.
        image: uint8 BGR (height, width, 3), scaled to the analysis size, upright.
        full: returns uint8 BGR of the whole picture at the camera's size, upright; converted
            at the first call only, so call it only when there is a face.
        full_size: (width, height) in pixels of what `full` returns.
    """

    sequence: int
    captured_at: datetime
    moment: float
    image: Image
    full: Callable[[], Image]
    full_size: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels of `image`."""
        height, width = self.image.shape[:2]
        return int(width), int(height)

    @property
    def scale(self) -> float:
        """Factor from pixels of `image` to pixels of the full picture."""
        return self.full_size[0] / self.size[0]

    def relative(self, box: Box) -> Box:
        """Return a box in pixels of the full picture relative to that picture (0 to 1)."""
        width, height = self.full_size
        return box.scaled(1 / width, 1 / height)
