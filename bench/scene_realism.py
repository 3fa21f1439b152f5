"""Compares a mask model's recall on rendered faces and photographs: at most 3 points apart.

    python bench/scene_realism.py                                  packaged portraits only
    python bench/scene_realism.py --faces DIR [--portraits LIST]   further portraits
        [--photos DIR/annotations.json]                            photographs to compare with
        [--model MANIFEST]                                         a model not trained on those

On both, YuNet detects the faces, and those of at least 32 pixels that overlap a true face are
classified. Prints the recall of both classes and their mean.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np

from maskwatch.domain import Box
from maskwatch.domain.frame import ImagePixels
from maskwatch.lab.evaluation.intervals import share
from maskwatch.lab.evaluation.portraits_choice import choose_portraits
from maskwatch.lab.evaluation.rules import Rules, judgeable
from maskwatch.lab.scenes import Head, render, scene_named
from maskwatch.lab.truth import Wear
from maskwatch.vision.faces import FaceDetector
from maskwatch.vision.masks import MaskClassifier

KINDS = ("lone_bare", "lone_masked", "pair", "group", "queue", "lingering", "lingering_masked")
SMALLEST = 32
Labelled = list[tuple[Box, bool]]  # face, masked


def rendered(faces: tuple[Head, ...], seeds: int) -> Iterator[tuple[np.ndarray, Labelled]]:
    """Yield the frames (6 a second) of everyday scenes with their judgeable faces."""
    for kind in KINDS:
        for seed in range(100, 100 + seeds):
            with tempfile.TemporaryDirectory() as folder:
                clip = Path(folder) / "a.mp4"
                scene = scene_named(kind, seed)
                truth = render(scene, clip, size=(960, 540), fps=6, seed=seed, faces=faces)
                with av.open(str(clip)) as container:
                    for frame, true in zip(container.decode(video=0), truth.frames, strict=True):
                        people = [p for p in true.people if judgeable(p, Rules(smallest_face=SMALLEST))]
                        labelled = [(Box(*p.face), p.mask is Wear.MASKED) for p in people if p.face]
                        if labelled:
                            yield frame.to_ndarray(format="bgr24"), labelled


def photographed(annotations: Path) -> Iterator[tuple[np.ndarray, Labelled]]:
    """Yield every photograph with its boxed faces, without masks worn incorrectly."""
    for entry in json.loads(annotations.read_text())["images"]:
        image = cv2.imread(str(annotations.parent / entry["file"]))
        pairs = zip(entry["boxes"], entry["classes"], strict=True)
        labelled = [(Box(*box), name == "with_mask") for box, name in pairs if "incorrect" not in name]
        yield image, [(box, masked) for box, masked in labelled if box.height >= SMALLEST]


def measure(
    pictures: Iterator[tuple[np.ndarray, Labelled]], manifest: Path | None
) -> dict[str, list[int]]:
    """Return for each class the numbers of correct, classified and all faces."""
    detector, model = FaceDetector(0.6), MaskClassifier(manifest)
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for image, labelled in pictures:
        found = detector.detect(image)
        readings = model.classify(ImagePixels(image), found) if found else []
        for face, masked in labelled:
            count = counts["masked" if masked else "no mask"]
            count[2] += 1
            best = max(range(len(found)), key=lambda i: found[i].box.iou(face), default=None)
            if best is None or found[best].box.iou(face) < 0.4:
                continue
            logits = readings[best].logits
            assert logits is not None
            count[1] += 1
            count[0] += (logits.mask > logits.no_mask) == masked
    return counts


def show(name: str, counts: dict[str, list[int]]) -> None:
    """Print a row."""
    parts = []
    for label in ("masked", "no mask"):
        correct, judged, faces = counts[label]
        parts.append(
            f"{label} {share(correct, judged).text()} of {judged} (found {judged / max(1, faces):.2f})"
        )
    mean = np.mean([counts[c][0] / max(1, counts[c][1]) for c in ("masked", "no mask")])
    print(f"{name:12} {parts[0]}   {parts[1]}   mean {mean:.3f}")


def main() -> None:
    """Measure both sides."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--faces", type=Path)
    parser.add_argument("--portraits", type=Path)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    faces = choose_portraits(options.faces, options.portraits).heads()
    show("rendered", measure(rendered(faces, options.seeds), options.model))
    if options.photos:
        show("photographs", measure(photographed(options.photos), options.model))


if __name__ == "__main__":
    main()
