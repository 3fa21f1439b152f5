"""Evaluates detector, gate and classifier together on whole photographs with every face boxed.

A detection matches a boxed face from an overlap of 0.4 (intersection over union), best pairs first.
A detection is judged "no mask" if it passes the gate, the detector is confident enough (the daemon
requires the same of a track), and no mask has the largest logit. This is correct on a face without a
mask, wrong on a masked one or without a boxed face, and not counted on a mask worn incorrectly.
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
from maskwatch.domain.frame import ImagePixels, Luma
from maskwatch.errors import DataError
from maskwatch.lab.training.metrics import bootstrap
from maskwatch.lab.training.scenes import Scene
from maskwatch.vision.faces import FaceDetector, analysis_size
from maskwatch.vision.quality import QualityGate

if TYPE_CHECKING:
    from maskwatch.domain.frame import Image
    from maskwatch.vision.masks import MaskClassifier

_MIN_OVERLAP: Final = 0.4
_BANDS: Final = (("<16 px", 0, 16), ("16-32 px", 16, 32), ("32-64 px", 32, 64), (">64 px", 64, np.inf))
_BARE: Final = 1
_MIN_FACE_LOG_ODDS: Final = math.log(9)
_UNSURE: Final = "unsure_face"


@dataclass(frozen=True, slots=True)
class Judgement:
    """One boxed face, or a detection that matches none (label None), and its judgement.

    `judged` is ``mask``, ``no_mask`` or ``incorrect``; ``REASON:`` and one of these if the gate rejected
    the detection; None if no detection matched. `passed` is whether the gate accepted it.
    """

    scene: int
    label: int | None
    height: float
    judged: str | None
    passed: bool


class PathBand(msgspec.Struct, frozen=True):
    """Detector recall, and judgements of the detected faces, for one band of face height."""

    band: str
    masked: int
    masked_found: int
    bare: int
    bare_found: int
    judged: int
    judged_right: int


class PathFigures(msgspec.Struct, frozen=True):
    """The whole path over a set of scenes; triples are a value and its 95 % interval.

    `precision` and `recall` are of "no mask" at faces of 24 px and more; the ungated pair is without
    the gate. `strangers` are detections that match no boxed face.
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
    """Return box index by detection index, best overlaps first, each used once."""
    pairs = [(d.box.iou(box), i, j) for i, d in enumerate(found) for j, box in enumerate(boxes)]
    paired: dict[int, int] = {}
    for overlap, i, j in sorted(pairs, key=lambda pair: -pair[0]):
        if overlap >= _MIN_OVERLAP and i not in paired and j not in paired.values():
            paired[i] = j
    return paired


def judge_scenes(
    scenes: Sequence[Scene],
    model: MaskClassifier,
    *,
    smallest: float = 16.0,
    score: float = 0.6,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[list[Judgement], list[str]]:
    """Judge the faces of `scenes`; return the judgements, and messages of unreadable photographs.

    `on_progress` gets the number of finished scenes and of all scenes.
    """
    detector, gate = FaceDetector(score), QualityGate(smallest, score)
    judgements: list[Judgement] = []
    unreadable: list[str] = []
    for number, scene in enumerate(scenes):
        try:
            image = scene.picture()
        except DataError as error:
            unreadable.append(str(error))
        else:
            judgements += _judge_scene(number, scene, image, detector, gate, model, smallest)
        on_progress(number + 1, len(scenes))
    if len(unreadable) == len(scenes):
        raise DataError("none of the scenes can be read; are the images beside the annotations?")
    return judgements, unreadable


def _judge_scene(
    number: int,
    scene: Scene,
    image: Image,
    detector: FaceDetector,
    gate: QualityGate,
    model: MaskClassifier,
    smallest: float,
) -> list[Judgement]:
    height, width = image.shape[:2]
    size = analysis_size((width, height), smallest)
    small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_LINEAR), np.uint8)
    scale = width / size[0]
    luma = Luma(np.asarray(cv2.cvtColor(small, cv2.COLOR_BGR2GRAY), np.uint8))
    raw = detector.detect(small)
    found = [detection.scaled(scale) for detection in raw]
    qualities = [gate.measure(luma, detection, scale) for detection in raw]
    readings = model.classify(ImagePixels(image), found)
    pairs = match(found, scene.boxes)
    judgements = []
    for i, (detection, quality, reading) in enumerate(zip(found, qualities, readings, strict=True)):
        assert reading.logits is not None
        label = _likeliest(reading.logits)
        unsure = label == "no_mask" and not _is_face(detection.score)
        reason = quality.gate or (_UNSURE if unsure else None)
        j = pairs.get(i)
        judgements.append(
            Judgement(
                scene=number,
                label=None if j is None else scene.labels[j],
                height=detection.box.height if j is None else scene.boxes[j].height,
                judged=label if reason is None else f"{reason}:{label}",
                passed=reason is None,
            )
        )
    missed = set(range(len(scene.boxes))) - set(pairs.values())
    return judgements + [
        Judgement(number, scene.labels[j], scene.boxes[j].height, judged=None, passed=False)
        for j in sorted(missed)
    ]


def _is_face(score: float) -> bool:
    """Return whether one detection of this score (0 to 1) gives odds of 9:1 that it is a face."""
    evidence = FaceConfidence(correlation_time=1.0)
    evidence.observe(score, 0.0)
    return evidence.ratio >= _MIN_FACE_LOG_ODDS


def _likeliest(logits: MaskLogits) -> str:
    """Return the name of the likeliest class."""
    named = {"mask": logits.mask, "no_mask": logits.no_mask}
    if logits.incorrect is not None:
        named["incorrect"] = logits.incorrect
    return max(named, key=lambda name: named[name])


def path_figures(
    judgements: Sequence[Judgement], scenes: int, unreadable: Sequence[str] = (), rounds: int = 1000
) -> PathFigures:
    """Return the figures of the judgements."""
    large = [j for j in judgements if j.height >= 24]
    gated = Counter(j.judged.split(":")[0] for j in large if j.judged is not None and not j.passed)
    return PathFigures(
        scenes=scenes,
        unreadable=tuple(unreadable),
        bands=tuple(
            _band(name, [j for j in judgements if low <= j.height < high]) for name, low, high in _BANDS
        ),
        precision=_precision(large, rounds, gate=True),
        recall=_recall(large, rounds, gate=True),
        ungated_precision=_precision(large, rounds, gate=False),
        ungated_recall=_recall(large, rounds, gate=False),
        strangers=sum(j.label is None for j in large),
        gated=dict(sorted(gated.items())),
    )


def _band(name: str, judgements: list[Judgement]) -> PathBand:
    masked = [j for j in judgements if j.label == 0]
    bare = [j for j in judgements if j.label == _BARE]
    passed = [j for j in (*masked, *bare) if j.passed]
    correct = sum(j.judged == ("no_mask" if j.label == _BARE else "mask") for j in passed)
    found = [sum(j.judged is not None for j in side) for side in (masked, bare)]
    return PathBand(name, len(masked), found[0], len(bare), found[1], len(passed), correct)


def _is_no_mask(judgement: Judgement, *, gate: bool) -> bool:
    """Return whether the judgement is "no mask", also if rejected when `gate` is False."""
    judged = str(judgement.judged)
    return judged == "no_mask" or (not gate and judged.endswith(":no_mask"))


def _precision(
    judgements: Sequence[Judgement], rounds: int, *, gate: bool
) -> tuple[float, float, float]:
    positive = [j for j in judgements if _is_no_mask(j, gate=gate) and j.label != 2]
    return _share([j.scene for j in positive], [j.label == _BARE for j in positive], rounds)


def _recall(judgements: Sequence[Judgement], rounds: int, *, gate: bool) -> tuple[float, float, float]:
    bare = [j for j in judgements if j.label == _BARE]
    return _share([j.scene for j in bare], [_is_no_mask(j, gate=gate) for j in bare], rounds)


def _share(scenes: list[int], correct: list[bool], rounds: int) -> tuple[float, float, float]:
    hits = np.array(correct, bool)
    interval = bootstrap(
        np.array(scenes, np.int64), lambda i: float(hits[i].mean()) if len(i) else np.nan, rounds=rounds
    )
    return interval.value, interval.low, interval.high
