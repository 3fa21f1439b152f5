"""Measures how many faces in photographs and scenes an anonymized picture shows.

    python bench/face_coverage.py photographs ../shared/data/scenes
    python bench/face_coverage.py scenes CLIP.mp4 [CLIP.mp4 ...]

Photographs: every annotated face that the detector finds is the subject of a picture in turn; all
annotated faces count. Scenes: the pictures of a replay's violations, compared with the ground truth
of the clip. A face is uncovered if more than a tenth of its box is inside the subject's body box and
under no mosaic; outside the body box the picture is pixelated.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2

from maskwatch.domain import Box
from maskwatch.lab.evaluation.coverage import UNCOVERED, uncovered
from maskwatch.lab.evaluation.rules import MIN_VISIBLE
from maskwatch.lab.truth import Truth, truth_path
from maskwatch.replay.replay import Replay, default_config
from maskwatch.vision.faces import ANONYMIZE_SCORE, FaceDetector


def photographs(folder: Path) -> Iterator[float]:
    """Yield the uncovered share of every face beside every possible subject."""
    detector = FaceDetector(ANONYMIZE_SCORE)
    images = json.loads((folder / "annotations.json").read_text())["images"]
    for entry in images:
        image = cv2.imread(str(folder / entry["file"]))
        size = (entry["width"], entry["height"])
        faces = [Box(*box) for box in entry["boxes"]]
        # Detect at twice the size, as for a camera with a smallest face of 16 px.
        found = [d.scaled(0.5).box for d in detector.detect(cv2.resize(image, None, fx=2, fy=2))]
        for subject in faces:
            if any(box.iou(subject) > 0.4 for box in found):
                yield from (uncovered(face, subject, [*found, subject], size) for face in faces)


def scenes(clips: Sequence[Path]) -> Iterator[float]:
    """Yield the uncovered share of every face in every picture of a violation."""
    for clip in clips:
        truth = Truth.load(truth_path(clip))
        config = default_config(clip)
        for step in Replay(clip, config, config.cameras[0]):
            tracks = {view.number: view.box for view in step.result.tracks}
            covered = [*tracks.values(), *(d.box for d in step.result.detections)]
            frame = min(truth.frames, key=lambda frame: abs(frame.at - step.moment))
            faces = [Box(*p.face) for p in frame.people if p.face and p.visible > MIN_VISIBLE]
            for change, picture in step.result.changes:
                subject = tracks.get(change.violation.track)
                if picture is not None and subject is not None and step.frame is not None:
                    yield from (uncovered(f, subject, covered, truth.size) for f in faces)


def main() -> None:
    """Print the table's row."""
    kind, *paths = sys.argv[1:]
    shares = list(
        photographs(Path(paths[0])) if kind == "photographs" else scenes([Path(p) for p in paths])
    )
    left = sum(share > UNCOVERED for share in shares)
    print(f"{kind}: {len(shares)} faces, {left} uncovered ({left / max(1, len(shares)):.2%})")


if __name__ == "__main__":
    main()
