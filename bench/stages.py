"""Measures the processor time of single stages of an analysed frame, at 1080p and 640 x 360.

    python -m bench.stages [--rounds 15]

The lowest of some rounds counts: other work on the machine only adds to it. The picture is a smooth
pattern without faces, on which the detector takes as long as on any other.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import cv2
import numpy as np

from maskwatch.capture.health import measure
from maskwatch.domain.frame import Luma
from maskwatch.vision.faces import FaceDetector
from maskwatch.vision.motion import MotionGate


def milliseconds(work: Callable[[], object], rounds: int) -> float:
    """Return the lowest processor time of some calls, after one that warms up."""
    work()
    spent = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return min(spent) * 1000


def main() -> None:
    """Run and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    cv2.setNumThreads(1)
    blobs = np.random.default_rng(0).integers(0, 256, (68, 120, 3), np.uint8)
    detector, gate = FaceDetector(0.3), MotionGate()
    for size in ((1920, 1080), (640, 360)):
        image = np.asarray(cv2.resize(blobs, size), np.uint8)
        luma = Luma(np.ascontiguousarray(image[:, :, 1]), limited=True)
        gate.admit(luma, 0.0, awake=True)
        stages: dict[str, Callable[[], object]] = {
            "face detector": partial(detector.detect, image),
            "health of the picture": partial(measure, luma),
            "motion gate": partial(gate.admit, luma, 0.1, awake=False),
        }
        for name, work in stages.items():
            print(f"{size[0]:>5} x {size[1]:<5} {name:<22} {milliseconds(work, rounds):8.2f} ms")


if __name__ == "__main__":
    main()
