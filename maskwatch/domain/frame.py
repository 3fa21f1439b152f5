"""One sampled picture of a camera. It never leaves the worker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final, Protocol

from maskwatch.domain.geometry import Box

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Image = npt.NDArray[np.uint8]

Area = tuple[int, int, int, int]
"""(left, top, right, bottom) in whole pixels; right and bottom lie outside."""

_BLACK: Final = 16.0  # luma of black in video of limited range
_LIMITED_GAIN: Final = 255.0 / 219.0


@dataclass(frozen=True, slots=True)
class Luma:
    """The brightness of a picture, as the decoder left it.

    Attributes:
        plane: uint8 (height, width), upright; a view, which need not be contiguous.
        limited: whether black is 16 and white 235, as in most video; else 0 and 255.
    """

    plane: Image
    limited: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        height, width = self.plane.shape
        return int(width), int(height)

    @property
    def gain(self) -> float:
        """Levels in one step of the plane's values."""
        return _LIMITED_GAIN if self.limited else 1.0

    def levels(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return values of the plane as levels on which black is 0 and white 255."""
        return (values - _BLACK) * self.gain if self.limited else values


class Pixels(Protocol):
    """The colours of a picture, converted only where they are needed; upright, in square pixels."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""

    def whole(self) -> Image:
        """Return uint8 BGR (height, width, 3); converted at the first call, then kept."""

    def part(self, area: Area) -> Image:
        """Return uint8 BGR of an area of at least one pixel that lies inside the picture."""

    def release(self) -> None:
        """Drop what `whole` keeps; it is converted again where it is needed."""


class ImagePixels:
    """An image (uint8 BGR) as `Pixels`."""

    __slots__ = ("_image",)

    def __init__(self, image: Image) -> None:
        self._image = image

    @property
    def size(self) -> tuple[int, int]:
        height, width = self._image.shape[:2]
        return int(width), int(height)

    def whole(self) -> Image:
        return self._image

    def part(self, area: Area) -> Image:
        left, top, right, bottom = area
        return self._image[top:bottom, left:right]

    def release(self) -> None:
        """Keep the image: it is converted from nothing."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame at analysis size and at the camera's own.

    Attributes:
        sequence: number of the sampled frame since the source was opened, from 0.
        captured_at: wall time (UTC) at which it arrived; in a replay, the file's own time.
        moment: monotonic seconds of the same instant; in a replay, the file's seconds.
        luma: its brightness at analysis size.
        analysed: its colours at analysis size.
        camera: its colours at the camera's size.
    """

    sequence: int
    captured_at: datetime
    moment: float
    luma: Luma
    analysed: Pixels
    camera: Pixels

    @property
    def image(self) -> Image:
        """uint8 BGR (height, width, 3) at analysis size; ask for it only where a part is too little."""
        return self.analysed.whole()

    def full(self) -> Image:
        """Return uint8 BGR (height, width, 3) at the camera's size, upright."""
        return self.camera.whole()

    def release(self) -> None:
        """Drop what was converted, before the frame is kept for long."""
        self.analysed.release()
        self.camera.release()

    @property
    def full_size(self) -> tuple[int, int]:
        """(width, height) in pixels of what `full` returns."""
        return self.camera.size

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels of the analysed picture."""
        return self.luma.size

    @property
    def scale(self) -> float:
        """Factor from pixels of the analysed picture to pixels of the full picture."""
        return self.full_size[0] / self.size[0]

    def relative(self, box: Box) -> Box:
        """Return a box in pixels of the full picture relative to that picture (0 to 1)."""
        width, height = self.full_size
        return box.scaled(1 / width, 1 / height)
