"""Prepares the training data of a run: loads, removes leaks, detects faces and splits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from maskwatch.domain import Detection
from maskwatch.errors import DataError
from maskwatch.lab.pictures import scaled
from maskwatch.lab.training.dataset import Dataset, Photo, load_crops, load_scenes
from maskwatch.lab.training.groups import cut_from, near_any, near_groups, split_groups
from maskwatch.lab.training.settings import Settings
from maskwatch.lab.training.tables import read_leaks
from maskwatch.vision.faces import FaceDetector

_DETECTION_SIDE: Final = 160  # px of a crop's longer side for the face detector
_BORDER: Final = 32  # px of black around it: the detector misses faces that fill the picture
_MIN_OVERLAP: Final = 0.4  # intersection over union from which a detection is the boxed face
_MIN_HEIGHT: Final = 9.0  # px; masks on smaller faces are not recognizable


@dataclass(frozen=True, slots=True)
class Prepared:
    """The sides of the split, and the pictures that were excluded: unreadable, leaks, too small."""

    train: tuple[Photo, ...]
    validation: tuple[Photo, ...]
    test: tuple[Photo, ...]
    held_out: tuple[Photo, ...]
    unreadable: tuple[str, ...]
    leaks: int
    too_small: int


def prepare(settings: Settings, report: Callable[[str], None]) -> Prepared:
    """Return the split data of `settings`; `report` gets lines of text. Raises DataError."""
    data = _loaded(settings, report)
    existing = {photo.source for photo in data.photos}
    unknown = sorted({*settings.hold_out, *settings.drop} - existing)
    if unknown:
        raise DataError(f"{unknown[0]}: no such source; there are {', '.join(sorted(existing))}")
    held_out = tuple(p for p in data.photos if p.source in settings.hold_out)
    included = [p for p in data.photos if p.source not in {*settings.hold_out, *settings.drop}]
    test = tuple(p for p in included if p.split == "test")
    rest = [p for p in included if p.split != "test"]
    photographs = _photographs(data.photos)
    clean = _without_leaks(rest, (*test, *held_out), _listed(data, settings), photographs)
    usable = [p for p in clean if p.height >= _MIN_HEIGHT]
    Dataset(tuple(usable)).check()
    report("detecting the faces in pictures without a box")
    train, validation = _split(with_faces(usable), photographs, settings)
    return Prepared(
        train,
        validation,
        test,
        held_out,
        data.unreadable,
        len(rest) - len(clean),
        len(clean) - len(usable),
    )


def _loaded(settings: Settings, report: Callable[[str], None]) -> Dataset:
    data = Dataset(())
    for folder in settings.data:
        report(f"reading {folder}")
        data += load_crops(Path(folder))
    for file in settings.scenes:
        report(f"reading {file}")
        data += load_scenes(Path(file))
    if not data.photos:
        raise DataError("nothing to train on: use --data FOLDER or --scenes annotations.json")
    return data


def _listed(data: Dataset, settings: Settings) -> set[str]:
    """Return the files that the lists of leaks exclude from training."""
    files = frozenset(photo.file for photo in data.photos)
    return {file for path in settings.leaks for file in read_leaks(Path(path), "train_path", files)}


def _photographs(photos: Sequence[Photo]) -> dict[str, tuple[str, ...]]:
    """Return each group's photographs: itself, and the boxed ones that it may be cropped from."""
    boxed = {p.group for p in photos if p.box is not None}
    crops = {p.group for p in photos if p.box is None}
    photographs = {name: (name,) for name in boxed}
    return photographs | {name: (name, *scenes) for name, scenes in cut_from(crops, boxed).items()}


def _without_leaks(
    photos: list[Photo],
    measured: tuple[Photo, ...],
    listed: set[str],
    photographs: dict[str, tuple[str, ...]],
) -> list[Photo]:
    """Return `photos` without those that show the same as one of `measured`.

    They are listed, nearly identical, or cropped from the same photograph.
    """
    near = near_any([p.print for p in photos], [p.print for p in measured])
    excluded = {name for p in measured for name in photographs[p.group]}
    return [
        p
        for p, is_near in zip(photos, near, strict=True)
        if not is_near and p.file not in listed and excluded.isdisjoint(photographs[p.group])
    ]


def _split(
    photos: tuple[Photo, ...], photographs: dict[str, tuple[str, ...]], settings: Settings
) -> tuple[tuple[Photo, ...], tuple[Photo, ...]]:
    """Return training and validation photos; pictures of one photograph stay together."""
    groups = near_groups([p.print for p in photos], [photographs[p.group] for p in photos])
    chosen = split_groups(groups, settings.validation, settings.seed)
    train = tuple(p for p, out in zip(photos, chosen, strict=True) if not out)
    validation = tuple(p for p, out in zip(photos, chosen, strict=True) if out)
    if len({p.label for p in validation}) < len({p.label for p in photos}):
        raise DataError(
            f"the {len(validation)} pictures of validation do not include every class; "
            "use more pictures, or a larger --validation"
        )
    return train, validation


def with_faces(photos: Iterable[Photo], *, boxed: bool = False) -> tuple[Photo, ...]:
    """Return `photos` with detected faces: of those without a box, or of all if `boxed`."""
    detector = FaceDetector(0.6)
    return tuple(
        replace(photo, face=_face(detector, photo)) if boxed or photo.box is None else photo
        for photo in photos
    )


def _face(detector: FaceDetector, photo: Photo) -> Detection | None:
    """Return the face in the box, or the largest confident one of a crop, in pixels of the picture."""
    factor = _DETECTION_SIDE / max(photo.image.shape[:2])
    framed = cv2.copyMakeBorder(scaled(photo.image, factor), *(_BORDER,) * 4, cv2.BORDER_CONSTANT)
    found = [
        detection.moved(-_BORDER, -_BORDER).scaled(1 / factor)
        for detection in detector.detect(np.asarray(framed, np.uint8))
    ]
    box = photo.box
    if box is None:
        return max(found, key=lambda d: d.box.area * d.score, default=None)
    matching = [detection for detection in found if detection.box.iou(box) >= _MIN_OVERLAP]
    return max(matching, key=lambda d: d.box.iou(box), default=None)
