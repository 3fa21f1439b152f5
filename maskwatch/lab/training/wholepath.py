"""Whole photographs through detector, gate and classifier, held against every boxed face.

A detection and a boxed face are the same when they overlap by 0.4 (intersection over union), best
pairs first. "No mask" is said of a detection that passes the gate, of which the detector is sure
enough that it is a face (the daemon asks the same of a track), and whose logit for no mask exceeds
the one for a mask and the one for a mask worn incorrectly. It is right on a bare face; on a
masked one, or on nothing boxed, it is wrong; on a mask worn incorrectly it counts neither way.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import cv2
import msgspec
import numpy as np

from maskwatch.analysis.face_confidence import FaceConfidence
from maskwatch.domain import Box, Detection, MaskLogits
from maskwatch.errors import DataError
from maskwatch.lab.training.metrics import bootstrap
from maskwatch.lab.training.scenes import Scene
from maskwatch.vision.faces import FaceDetector, analysis_size
from maskwatch.vision.quality import QualityGate

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image
    from maskwatch.vision.masks import MaskClassifier

__all__ = ["PathBand", "PathFigures", "Seen", "look", "match", "path_figures"]

_SAME: Final = 0.4
_BANDS: Final = (("<16 px", 0, 16), ("16-32 px", 16, 32), ("32-64 px", 32, 64), (">64 px", 64, np.inf))
_BARE: Final = 1
_SURE: Final = math.log(9)
_UNSURE: Final = "unsure_face"


@dataclass(frozen=True, slots=True)
class Seen:
    """One boxed face (label None: a detection of nothing boxed) and what the path said of it.

    `said` is None where no detection matched, ``mask``, ``no_mask`` or ``incorrect``, or one of
    these behind the reason for which it was kept back. `passed` tells whether it was not.
    """

    scene: int
    label: int | None
    height: float
    said: str | None
    passed: bool


class PathBand(msgspec.Struct, frozen=True):
    """Detector recall and what came of the found faces, for one band of face height."""

    band: str
    masked: int
    masked_found: int
    bare: int
    bare_found: int
    judged: int
    judged_right: int


class PathFigures(msgspec.Struct, frozen=True):
    """The whole path over a set of scenes; triples are a value and its 95 % interval.

    `precision` and `recall` are of "no mask" at faces of 24 px and more; the ungated pair is what
    they would be if the gate let everything through. `strangers` are detections of nothing boxed.
    """

    scenes: int
    unreadable: tuple[str, ...]
    bands: tuple[PathBand, ...]
    precision: tuple[float, float, float]
    recall: tuple[float, float, float]
    ungated_precision: tuple[float, float, float]
    ungated_recall: tuple[float, float, float]
    strangers: int
    gated: dict[str, int]


def match(found: Sequence[Detection], boxes: Sequence[Box]) -> dict[int, int]:
    """Return box number by detection number, best overlaps first, each used once."""
    pairs = [(d.box.iou(box), i, j) for i, d in enumerate(found) for j, box in enumerate(boxes)]
    paired: dict[int, int] = {}
    for overlap, i, j in sorted(pairs, key=lambda pair: -pair[0]):
        if overlap >= _SAME and i not in paired and j not in paired.values():
            paired[i] = j
    return paired


def look(
    scenes: Sequence[Scene],
    model: MaskClassifier,
    *,
    smallest: float = 16.0,
    score: float = 0.6,
    tell: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005 - says nothing
) -> tuple[list[Seen], list[str]]:
    """Run the path over `scenes`; return what it said and the photographs that cannot be read."""
    detector, gate = FaceDetector(score), QualityGate(smallest, score)
    seen: list[Seen] = []
    unreadable: list[str] = []
    for number, scene in enumerate(scenes):
        try:
            image = scene.picture()
        except DataError as error:
            unreadable.append(str(error))
        else:
            seen += _one(number, scene, image, detector, gate, model, smallest)
        tell(number + 1, len(scenes))
    if len(unreadable) == len(scenes):
        raise DataError("none of the scenes can be read; are the images beside the annotations?")
    return seen, unreadable


def _one(
    number: int,
    scene: Scene,
    image: Image,
    detector: FaceDetector,
    gate: QualityGate,
    model: MaskClassifier,
    smallest: float,
) -> list[Seen]:
    height, width = image.shape[:2]
    size = analysis_size((width, height), smallest)
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    scale = width / size[0]
    raw = detector.detect(small)
    found = [detection.scaled(scale) for detection in raw]
    qualities = [gate.measure(small, detection, scale) for detection in raw]
    readings = model.classify(image, found)
    pairs = match(found, scene.boxes)
    seen = []
    for i, (detection, quality, reading) in enumerate(zip(found, qualities, readings, strict=True)):
        assert reading.logits is not None
        said = _said(reading.logits)
        held = quality.gate or (_UNSURE if said == "no_mask" and not _is_face(detection.score) else None)
        j = pairs.get(i)
        seen.append(
            Seen(
                scene=number,
                label=None if j is None else scene.labels[j],
                height=detection.box.height if j is None else scene.boxes[j].height,
                said=said if held is None else f"{held}:{said}",
                passed=held is None,
            )
        )
    missed = set(range(len(scene.boxes))) - set(pairs.values())
    return seen + [
        Seen(number, scene.labels[j], scene.boxes[j].height, said=None, passed=False)
        for j in sorted(missed)
    ]


def _is_face(score: float) -> bool:
    """Return whether one sighting of this score (0 to 1) makes it nine to one that it is a face."""
    evidence = FaceConfidence(correlation_time=1.0)
    evidence.observe(score, 0.0)
    return evidence.ratio >= _SURE


def _said(logits: MaskLogits) -> str:
    """Return the likeliest class by name."""
    named = {"mask": logits.mask, "no_mask": logits.no_mask}
    if logits.incorrect is not None:
        named["incorrect"] = logits.incorrect
    return max(named, key=lambda name: named[name])


def path_figures(
    seen: Sequence[Seen], scenes: int, unreadable: Sequence[str] = (), rounds: int = 1000
) -> PathFigures:
    """Return the figures of what `look` returned."""
    near = [s for s in seen if s.height >= 24]
    gated = Counter(str(s.said).split(":")[0] for s in near if s.said is not None and not s.passed)
    return PathFigures(
        scenes=scenes,
        unreadable=tuple(unreadable),
        bands=tuple(
            _band(name, [s for s in seen if low <= s.height < high]) for name, low, high in _BANDS
        ),
        precision=_precision(near, rounds, gate=True),
        recall=_recall(near, rounds, gate=True),
        ungated_precision=_precision(near, rounds, gate=False),
        ungated_recall=_recall(near, rounds, gate=False),
        strangers=sum(s.label is None for s in near),
        gated=dict(sorted(gated.items())),
    )


def _band(name: str, seen: list[Seen]) -> PathBand:
    masked, bare = [s for s in seen if s.label == 0], [s for s in seen if s.label == _BARE]
    judged = [s for s in (*masked, *bare) if s.passed]
    right = sum(s.said == ("no_mask" if s.label == _BARE else "mask") for s in judged)
    found = [sum(s.said is not None for s in side) for side in (masked, bare)]
    return PathBand(name, len(masked), found[0], len(bare), found[1], len(judged), right)


def _says_bare(seen: Seen, *, gate: bool) -> bool:
    """Return whether the path says "no mask"; without the gate, whether the classifier does."""
    return seen.said == "no_mask" or (not gate and str(seen.said).endswith(":no_mask"))


def _precision(seen: Sequence[Seen], rounds: int, *, gate: bool) -> tuple[float, float, float]:
    said = [s for s in seen if _says_bare(s, gate=gate) and s.label != 2]
    return _share([s.scene for s in said], [s.label == _BARE for s in said], rounds)


def _recall(seen: Sequence[Seen], rounds: int, *, gate: bool) -> tuple[float, float, float]:
    bare = [s for s in seen if s.label == _BARE]
    return _share([s.scene for s in bare], [_says_bare(s, gate=gate) for s in bare], rounds)


def _share(scenes: list[int], right: list[bool], rounds: int) -> tuple[float, float, float]:
    hits = np.array(right, bool)
    drawn = bootstrap(
        np.array(scenes, np.int64), lambda i: float(hits[i].mean()) if len(i) else np.nan, rounds=rounds
    )
    return drawn.value, drawn.low, drawn.high
