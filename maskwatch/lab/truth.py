"""The ground truth of a rendered clip: every person in every frame, and how visible they are.

Written as JSON beside the clip (`clip.mp4` -> `clip.truth.json`). `evaluation.rules` derives the
expected events from it.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

import msgspec

from maskwatch.errors import DataError
from maskwatch.files import MIB, read_json

_VERSION = 1
_MAX_BYTES = 256 * MIB
Rect = tuple[float, float, float, float]


class Wear(StrEnum):
    """How a person wears a mask at one moment, whether it is visible or not."""

    BARE = "bare"
    MASKED = "masked"
    UNDER_NOSE = "under_nose"
    ON_CHIN = "on_chin"
    CHANGING = "changing"


class PersonFrame(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One person in one frame; boxes are x1, y1, x2, y2 in pixels of the clip.

    Attributes:
        visit: index into `Truth.visits`.
        face: the face as a detector would box it, also where something hides it; None when only
            the back of the head is visible.
        body: the whole person, clipped to the picture.
        mask: how the mask is worn.
        visible: share of the face that is inside the picture and not covered, 0 to 1.
        yaw: degrees that the face is turned from the camera.
    """

    visit: int
    face: Rect | None
    body: Rect
    mask: Wear
    visible: float
    yaw: float


class TruthFrame(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One frame of the clip: seconds from its start, and the people in it."""

    at: float
    people: tuple[PersonFrame, ...]
    damaged: bool = False


class Visit(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One visit of one person.

    Attributes:
        person: name; the same name again is the same person who returns.
        portrait: name of the portrait.
        style: the mask that was drawn ("" if none is ever worn).
        alive: False for a mannequin.
    """

    person: str
    portrait: str
    style: str
    alive: bool = True


class Fake(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pictured face: on a poster or a screen. `box` as in `PersonFrame`."""

    kind: str
    box: Rect
    mask: Wear


class Truth(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ground truth of one clip.

    Attributes:
        name, kind, seed: of the scene.
        size: width and height in pixels.
        rate: frames per second of the clip.
        ignore: polygons (relative) that an operator would exclude by ignore zones: the screens.
    """

    name: str
    kind: str
    seed: int
    size: tuple[int, int]
    rate: float
    seconds: float
    visits: tuple[Visit, ...]
    frames: tuple[TruthFrame, ...]
    fakes: tuple[Fake, ...] = ()
    ignore: tuple[tuple[tuple[float, float], ...], ...] = ()
    version: int = _VERSION

    def save(self, path: Path) -> None:
        """Write the truth as JSON, atomically."""
        unfinished = path.with_suffix(".part")
        unfinished.write_bytes(msgspec.json.encode(self))
        unfinished.replace(path)

    @staticmethod
    def load(path: Path) -> Truth:
        """Read a truth file; raise DataError when it is missing, malformed or of another version."""
        try:
            truth = read_json(path, _MAX_BYTES, Truth)
        except OSError as error:
            raise DataError(f"{path}: cannot be read: {error.strerror}") from error
        except msgspec.DecodeError as error:
            raise DataError(f"{path}: not a ground truth file: {error}") from error
        if truth.version != _VERSION:
            raise DataError(
                f"{path}: ground truth of version {truth.version}, expected {_VERSION}; "
                "render the scene again"
            )
        return truth


def truth_path(clip: Path) -> Path:
    """Return the path of the ground truth of `clip`."""
    return clip.with_suffix(".truth.json")
