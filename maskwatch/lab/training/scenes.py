"""Whole photographs with every face boxed, as `annotations.json` describes them.

``{"images": [{"file", "width", "height", "boxes": [[x1, y1, x2, y2]], "classes"}]}``, boxes in pixels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta

from maskwatch.domain import Box
from maskwatch.errors import DataError
from maskwatch.files import MIB, read_json
from maskwatch.lab.pictures import folder_name, read_picture
from maskwatch.vision.manifest import LABELS

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image

_LARGEST: Final = 256 * MIB


@dataclass(frozen=True, slots=True)
class Scene:
    """One photograph on disk, its size in pixels, and every face in it; boxes are inside it."""

    path: Path
    name: str
    size: tuple[int, int]
    boxes: tuple[Box, ...]
    labels: tuple[int, ...]

    def picture(self) -> Image:
        """Return the photograph. Raises DataError if it is unreadable or has another size."""
        image = read_picture(self.path)
        size = (image.shape[1], image.shape[0])
        if size != self.size:
            raise DataError(
                f"{self.path}: {size[0]} x {size[1]} px, annotated as {self.size[0]} x {self.size[1]}: "
                "scaled, or rotated by its EXIF; the boxes do not fit"
            )
        return image


class _SceneRow(msgspec.Struct, frozen=True):
    file: str
    width: Annotated[int, Meta(ge=1)]
    height: Annotated[int, Meta(ge=1)]
    boxes: list[tuple[float, float, float, float]]
    classes: list[str]


class _SceneFile(msgspec.Struct, frozen=True):
    images: list[_SceneRow]


def read_scenes(annotations: Path) -> list[Scene]:
    """Return the scenes of an annotations file. Raises DataError for a malformed file."""
    try:
        content = read_json(annotations, _LARGEST, _SceneFile)
    except OSError as error:
        raise DataError(f"{annotations}: cannot read the annotations: {error.strerror}") from error
    except msgspec.MsgspecError as error:
        raise DataError(f"{annotations}: not an annotations file: {error}") from error
    scenes = [_scene(annotations, row) for row in content.images]
    if not any(scene.boxes for scene in scenes):
        raise DataError(f"{annotations}: no face is boxed in any image")
    return scenes


def _scene(annotations: Path, row: _SceneRow) -> Scene:
    if len(row.boxes) != len(row.classes):
        raise DataError(
            f"{annotations}: {row.file}: {len(row.boxes)} boxes but {len(row.classes)} classes"
        )
    wrong = sorted(set(row.classes) - set(LABELS))
    if wrong:
        raise DataError(
            f"{annotations}: {row.file}: unknown class {wrong[0]!r}; expected {', '.join(LABELS)}"
        )
    return Scene(
        annotations.parent / row.file,
        f"{folder_name(annotations.parent)}/{row.file}",
        (row.width, row.height),
        tuple(_box(annotations, row, number) for number in range(len(row.boxes))),
        tuple(LABELS.index(name) for name in row.classes),
    )


def _box(annotations: Path, row: _SceneRow, number: int) -> Box:
    """Return the part of a box inside its photograph. Raises DataError if there is none."""
    corners = row.boxes[number]
    box = Box(*corners)
    inside = box.clipped(row.width, row.height)
    # An inverted box also has an area of 0 inside.
    if not all(map(math.isfinite, corners)) or inside.area <= 0:
        raise DataError(
            f"{annotations}: {row.file}: box {number + 1} is {list(corners)}; expected [x1, y1, x2, y2] "
            f"with x1 < x2 and y1 < y2, in the {row.width} x {row.height} px of the photograph"
        )
    return inside
