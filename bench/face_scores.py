"""Fits the probability of a face to the detector's score: the constants of analysis/face_confidence.

    python bench/face_scores.py ../shared/data/scenes

Detects faces at twice the size of photographs in which every face is boxed. Detections of at least 32
pixels are true if they overlap a box by 0.3 or more; one that shares a third of its area with a box
but does not overlap it enough is ignored. Prints counts by score and a logistic regression with equal
weight for true and false. Many false ones are half-hidden heads without a box, so the fit is
conservative.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np

from maskwatch.domain import Box
from maskwatch.vision.faces import ANONYMIZE_SCORE, FaceDetector

_TRUE, _NEITHER, _SMALLEST = 0.3, 0.3, 32.0
_EDGES = (0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 1.0)


def scored(folder: Path) -> np.ndarray:
    """Return float (n, 2): the score, and whether it is a face."""
    detector = FaceDetector(ANONYMIZE_SCORE)
    rows = []
    for entry in json.loads((folder / "annotations.json").read_text())["images"]:
        image = cv2.resize(cv2.imread(str(folder / entry["file"])), None, fx=2, fy=2)
        faces = [Box(*box).scaled(2) for box in entry["boxes"]]
        for found in detector.detect(image):
            if found.box.height < _SMALLEST:
                continue
            true = max((found.box.iou(face) for face in faces), default=0.0) >= _TRUE
            if true or not any(_shares(found.box, face) for face in faces):
                rows.append((found.score, float(true)))
    return np.array(rows)


def _shares(box: Box, face: Box) -> bool:
    smaller = max(1.0, min(box.area, face.area))
    return box.intersection(face) / smaller > _NEITHER


def fitted(rows: np.ndarray) -> tuple[float, float]:
    """Return (slope, score of even odds) by Newton's method."""
    score, true = rows.T
    weight = np.where(true == 1, 0.5 / true.sum(), 0.5 / (1 - true).sum()) * len(true)
    design = np.stack([score, np.ones_like(score)], axis=1)
    line = np.array([10.0, -7.0])
    for _ in range(50):
        chance = 1 / (1 + np.exp(-design @ line))
        gradient = design.T @ (weight * (true - chance))
        curvature = (design * (weight * chance * (1 - chance))[:, None]).T @ design
        line = line + np.linalg.solve(curvature, gradient)
    return float(line[0]), float(-line[1] / line[0])


def main() -> None:
    """Print the table and the constants."""
    rows = scored(Path(sys.argv[1]))
    score, true = rows.T
    for low, high in pairwise(_EDGES):
        there = true[(score >= low) & (score < high)]
        print(f"{low:.2f} to {high:.2f}  {int(there.sum()):5} faces {int((1 - there).sum()):5} none")
    slope, even = fitted(rows)
    faces = int(true.sum())
    prior = float(np.log(faces / (len(true) - faces)))
    print(f"{len(true)} detections, {faces} of them faces")
    print(f"slope {slope:.1f}, even at {even:.3f}, prior {prior:.2f}")


if __name__ == "__main__":
    main()
