"""From the settings to what is trained on: load, look for faces, take leaks out, split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from maskwatch.domain import Detection
from maskwatch.errors import DataError
from maskwatch.lab.training.dataset import Dataset, Photo, load_crops, load_scenes
from maskwatch.lab.training.groups import cut_from, near_any, near_groups, split_groups
from maskwatch.lab.training.pictures import scaled
from maskwatch.lab.training.settings import Settings
from maskwatch.lab.training.tables import read_leaks
from maskwatch.vision.faces import FaceDetector

__all__ = ["Prepared", "prepare", "with_faces"]

_LOOK: Final = 160  # px: a crop's longer side when the detector looks for its face
_BORDER: Final = 32  # px of black around it: a face that fills the picture is else missed
_SAME: Final = 0.4  # of a detection and a box is in both: they are one face
_TOO_SMALL: Final = 9.0  # px: a mask on a smaller face cannot be recognized, nor learnt from


@dataclass(frozen=True, slots=True)
class Prepared:
    """The sides of the split, and what was left out of training and why."""

    train: tuple[Photo, ...]
    validation: tuple[Photo, ...]
    test: tuple[Photo, ...]
    held_out: tuple[Photo, ...]
    unreadable: tuple[str, ...]
    leaks: int
    too_small: int


def prepare(settings: Settings, say: Callable[[str], None]) -> Prepared:
    """Return the split of all that `settings` names. Raises DataError before any training starts."""
    data = _loaded(settings, say)
    known = {photo.source for photo in data.photos}
    unknown = sorted({*settings.hold_out, *settings.drop} - known)
    if unknown:
        raise DataError(f"{unknown[0]}: no such source; there are {', '.join(sorted(known))}")
    held_out = tuple(p for p in data.photos if p.source in settings.hold_out)
    own = [p for p in data.photos if p.source not in {*settings.hold_out, *settings.drop}]
    test = tuple(p for p in own if p.split == "test")
    rest = [p for p in own if p.split != "test"]
    shown = _photographs(data.photos)
    clean = _without_leaks(rest, (*test, *held_out), _listed(data, settings), shown)
    seen = [p for p in clean if p.height >= _TOO_SMALL]
    Dataset(tuple(seen)).check()
    say("looking for the faces in pictures without a box")
    faces = with_faces(seen)
    train, validation = _split(faces, shown, settings)
    return Prepared(
        train,
        validation,
        test,
        held_out,
        data.unreadable,
        len(rest) - len(clean),
        len(clean) - len(seen),
    )


def _loaded(settings: Settings, say: Callable[[str], None]) -> Dataset:
    data = Dataset(())
    for folder in settings.data:
        say(f"reading {folder}")
        data += load_crops(Path(folder))
    for file in settings.scenes:
        say(f"reading {file}")
        data += load_scenes(Path(file))
    if not data.photos:
        raise DataError("nothing to train on: give --data FOLDER or --scenes annotations.json")
    return data


def _listed(data: Dataset, settings: Settings) -> set[str]:
    """Return the files that the lists of leaks keep out of training."""
    files = frozenset(photo.file for photo in data.photos)
    return {file for path in settings.leaks for file in read_leaks(Path(path), "train_path", files)}


def _photographs(photos: Sequence[Photo]) -> dict[str, tuple[str, ...]]:
    """Return what each group of `photos` shows: itself, and the boxed photographs it is cut from."""
    boxed = {p.group for p in photos if p.box is not None}
    others = {p.group for p in photos if p.box is None}
    shown = {name: (name,) for name in boxed}
    return shown | {name: (name, *scenes) for name, scenes in cut_from(others, boxed).items()}


def _without_leaks(
    photos: list[Photo],
    kept: tuple[Photo, ...],
    listed: set[str],
    shown: dict[str, tuple[str, ...]],
) -> list[Photo]:
    """Return `photos` without those that show what one kept for measuring shows.

    They are listed, nearly the same, or cut from the same photograph.
    """
    near = near_any([p.print for p in photos], [p.print for p in kept])
    same = {name for p in kept for name in shown[p.group]}
    return [
        p
        for p, hit in zip(photos, near, strict=True)
        if not hit and p.file not in listed and same.isdisjoint(shown[p.group])
    ]


def _split(
    photos: tuple[Photo, ...], shown: dict[str, tuple[str, ...]], settings: Settings
) -> tuple[tuple[Photo, ...], tuple[Photo, ...]]:
    """Return training and validation photos; what shows the same photograph stays together."""
    groups = near_groups([p.print for p in photos], [shown[p.group] for p in photos])
    chosen = split_groups(groups, settings.validation, settings.seed)
    train = tuple(p for p, out in zip(photos, chosen, strict=True) if not out)
    validation = tuple(p for p, out in zip(photos, chosen, strict=True) if out)
    if len({p.label for p in validation}) < len({p.label for p in photos}):
        raise DataError(
            f"{len(validation)} pictures of validation do not show every class; "
            "give more pictures, or a larger --validation"
        )
    return train, validation


def with_faces(photos: Iterable[Photo], *, boxed: bool = False) -> tuple[Photo, ...]:
    """Return `photos`, those without a box (or all) with the face that the detector finds in them."""
    detector = FaceDetector(0.6)
    return tuple(
        replace(photo, face=_face(detector, photo)) if boxed or photo.box is None else photo
        for photo in photos
    )


def _face(detector: FaceDetector, photo: Photo) -> Detection | None:
    """Return the face in the box, or the largest sure one of a crop, in pixels of the picture."""
    factor = _LOOK / max(photo.image.shape[:2])
    framed = cv2.copyMakeBorder(scaled(photo.image, factor), *(_BORDER,) * 4, cv2.BORDER_CONSTANT)
    found = [
        detection.moved(-_BORDER, -_BORDER).scaled(1 / factor)
        for detection in detector.detect(np.asarray(framed, np.uint8))
    ]
    box = photo.box
    if box is None:
        return max(found, key=lambda d: d.box.area * d.score, default=None)
    there = [detection for detection in found if detection.box.iou(box) >= _SAME]
    return max(there, key=lambda d: d.box.iou(box), default=None)
