"""Photographs and their labels: folders of crops, and whole scenes with every face boxed.

A folder of crops has one sub-folder per class (any of with_mask, without_mask,
mask_worn_incorrectly) and two optional files. `manifest.csv` (columns path, source and original)
names the collection of each picture and the photograph from which it was cropped; `split.csv` (path
and split) names the pictures that are only for testing. `scenes` describes annotations of whole
photographs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from maskwatch.domain import Box, Detection
from maskwatch.errors import DataError
from maskwatch.lab.pictures import folder_name, limited, read_picture
from maskwatch.lab.training.groups import fingerprint
from maskwatch.lab.training.layout import class_files
from maskwatch.lab.training.scenes import Scene, read_scenes
from maskwatch.lab.training.tables import Origin, read_origins, read_split
from maskwatch.vision.manifest import LABELS
from maskwatch.vision.preprocess import cut

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image

__all__ = ["Dataset", "Photo", "Scene", "load_crops", "load_scenes", "read_scenes"]

_MAX_IMBALANCE: Final = 20
_MAX_SIDE: Final = 200  # px of a crop's longer side that are kept: twice the usual input
_SURROUNDINGS: Final = 0.75  # of a boxed face's longer side, kept around it for jitter and margin


@dataclass(frozen=True, slots=True, eq=False)
class Photo:
    """One labelled face.

    Attributes:
        image: uint8 BGR; a crop, or the neighbourhood of a boxed face.
        label: index into LABELS.
        source: its collection.
        name: path by which reports name it.
        group: the photograph that it is cropped from; a group is on one side of a split.
        box: the annotated face in pixels of `image`; None: the picture is the face.
        split: "train" or "test".
        height: height in pixels of the face in its photograph; of the picture if there is no box.
        print: perceptual hash, 64 values of 0 or 1.
        face: the face that the detector found in the picture, if it was searched.
        file: resolved path.

    """

    image: Image
    label: int
    source: str
    name: str
    group: str
    box: Box | None
    split: str
    height: float
    print: Image
    face: Detection | None = None
    file: str = ""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Photographs, and for each file that could not be used its name and the reason."""

    photos: tuple[Photo, ...]
    unreadable: tuple[str, ...] = ()

    def __add__(self, other: Dataset) -> Dataset:
        return Dataset(self.photos + other.photos, self.unreadable + other.unreadable)

    def counts(self) -> Counter[str]:
        """Return the number of photographs per label."""
        return Counter(LABELS[photo.label] for photo in self.photos)

    def check(self) -> None:
        """Raise DataError if the pictures are not sufficient to train a classifier."""
        counts = self.counts()
        missing = [name for name in LABELS[:2] if not counts[name]]
        if missing:
            found = ", ".join(f"{n} of {name}" for name, n in sorted(counts.items())) or "none"
            raise DataError(
                f"no pictures of {missing[0]} to train on; expected {' and '.join(LABELS[:2])} "
                f"({LABELS[2]} is optional); found: {found}"
            )
        (largest, many), (smallest, few) = counts.most_common()[0], counts.most_common()[-1]
        if many > _MAX_IMBALANCE * few:
            raise DataError(
                f"{many} pictures of {largest} against {few} of {smallest}: more than "
                f"{_MAX_IMBALANCE}:1; add pictures of {smallest}, or leave the class out"
            )


def load_crops(folder: Path) -> Dataset:
    """Return the crops of `folder`. Raises DataError if its layout is not as described above."""
    files, ignored = class_files(folder)
    names = [path.relative_to(folder).as_posix() for _, path in files]
    origins = read_origins(folder / "manifest.csv", frozenset(names))
    splits = read_split(folder / "split.csv", frozenset(names))
    collection, resolved = folder_name(folder), folder.resolve()
    photos: list[Photo] = []
    unreadable = ignored + _missing(folder / "split.csv", sorted(splits.keys() - set(names)))
    for name, (label, path) in zip(names, files, strict=True):
        try:
            image = read_picture(path)
        except DataError as error:
            unreadable.append(str(error))
            continue
        origin = origins.get(name, Origin())
        photos.append(
            Photo(
                image=limited(image, _MAX_SIDE),
                label=label,
                source=origin.source or collection,
                name=f"{collection}/{name}",
                group=origin.original or f"{collection}/{name}",
                box=None,
                split=splits.get(name, "train"),
                height=float(image.shape[0]),
                print=fingerprint(image),
                file=str(resolved / name),
            )
        )
    if not photos:
        raise DataError(f"{folder}: none of its {len(files)} pictures can be read")
    return Dataset(tuple(photos), tuple(unreadable))


def _missing(split: Path, names: list[str]) -> list[str]:
    """Return a message about pictures of a split that do not exist: they may be mistyped."""
    return [f"{split}: {len(names)} of its pictures do not exist, first {names[0]}"] if names else []


def load_scenes(annotations: Path) -> Dataset:
    """Return every boxed face of an annotations file, each with its neighbourhood."""
    photos: list[Photo] = []
    unreadable: list[str] = []
    for scene in read_scenes(annotations):
        try:
            image = scene.picture()
        except DataError as error:
            unreadable.append(str(error))
            continue
        photos += _faces(scene, image, folder_name(annotations.parent))
    if not photos:
        raise DataError(f"{annotations}: none of its images can be read; first {unreadable[0]}")
    return Dataset(tuple(photos), tuple(unreadable))


def _faces(scene: Scene, image: Image, source: str) -> Iterable[Photo]:
    perceptual_hash = fingerprint(image)
    for number, (box, label) in enumerate(zip(scene.boxes, scene.labels, strict=True)):
        area, inner = _neighbourhood(image, box)
        yield Photo(
            image=area,
            label=label,
            source=source,
            name=f"{scene.name}#{number}",
            group=scene.name,
            box=inner,
            split="train",
            height=box.height,
            print=perceptual_hash,
            file=str(scene.path.resolve()),
        )


def _neighbourhood(image: Image, box: Box) -> tuple[Image, Box]:
    """Return the pixels of `box` and around it, inside the image, and the box in them."""
    height, width = image.shape[:2]
    border = _SURROUNDINGS * max(box.width, box.height)
    outer = Box(box.x1 - border, box.y1 - border, box.x2 + border, box.y2 + border).clipped(
        width, height
    )
    x, y = round(outer.x1), round(outer.y1)
    area = cut(image, Box(x, y, round(outer.x2), round(outer.y2))).copy()
    inner = Box(box.x1 - x, box.y1 - y, box.x2 - x, box.y2 - y)
    small = limited(area, int(1.5 * _MAX_SIDE))
    return small, inner.scaled(small.shape[1] / area.shape[1])
