"""Time per face of the mask models, and of the paper's Keras model, in one run on one core.

    python bench/classify.py                       # shipped models against the paper's Keras model
    python bench/classify.py --sweep               # untrained int8 MobileNetV2 of all widths and sizes

The process is pinned to one core. Each way is warmed up, then timed in rounds; the median of the
rounds counts. The paper's model is MobileNetV2 1.0 at 224 px with its head of 128 units, float32,
one face per call: once by `predict`, once as a `tf.function`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np
import tensorflow as tf

from maskwatch.domain import Box, Detection, Point
from maskwatch.domain.frame import ImagePixels
from maskwatch.lab.machine import machine
from maskwatch.lab.training.network import build
from maskwatch.lab.training.quantize import to_int8
from maskwatch.lab.training.settings import Settings
from maskwatch.vision.interpreter import Interpreter
from maskwatch.vision.manifest import shipped_manifests
from maskwatch.vision.masks import MaskClassifier

WIDTHS = (0.35, 0.5, 0.75, 1.0)
SIZES = (96, 128, 160, 224)


def milliseconds(call: Callable[[], object], *, seconds: float = 2.0, rounds: int = 15) -> float:
    """Return the median milliseconds of one call over `rounds` rounds, after a warm-up."""
    for _ in range(3):
        call()
    began = time.perf_counter()
    call()
    once = time.perf_counter() - began
    calls = max(1, int(seconds / rounds / max(once, 1e-6)))
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        for _ in range(calls):
            call()
        times.append((time.perf_counter() - began) / calls)
    return 1000 * statistics.median(times)


def pin() -> None:
    """Keep this process, and the threads it makes, on one core."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def shipped() -> dict[str, float]:
    """Return milliseconds per face of every shipped model: crop, resize and inference."""
    frame = np.random.default_rng(0).integers(0, 256, (360, 640, 3), np.uint8)
    middle = Point(300, 180)
    face = Detection(Box(280, 150, 320, 200), 0.9, (middle,) * 5)  # type: ignore[arg-type]
    found = {}
    for path in shipped_manifests():
        model = MaskClassifier(path)
        found[model.id] = milliseconds(lambda model=model: model.classify(ImagePixels(frame), [face]))
    return found


def paper() -> dict[str, float]:
    """Return milliseconds per face of the paper's Keras model, two ways."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = build(Settings(recipe="paper", size=224, weights="none"), 2)
    image = np.random.default_rng(0).uniform(-1, 1, (1, 224, 224, 3)).astype(np.float32)
    compiled = tf.function(lambda x: model(x, training=False))
    tensor = tf.constant(image)
    return {
        "Keras predict": milliseconds(lambda: model.predict(image, verbose=0)),
        "Keras tf.function": milliseconds(lambda: compiled(tensor).numpy()),
    }


def sweep() -> dict[tuple[float, int], float]:
    """Return milliseconds per face of int8 MobileNetV2 by width and size; weights do not matter."""
    found = {}
    for width in WIDTHS:
        for size in SIZES:
            model = build(Settings(size=size, width=width, weights="none"), 3)
            crops = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), np.uint8)
            interpreter = Interpreter(to_int8(model, crops), f"{width}-{size}")
            found[width, size] = milliseconds(lambda i=interpreter, x=crops[:1]: i.run(x))
            print(f"width {width:4} size {size:3}: {found[width, size]:6.2f} ms", flush=True)
    return found


def main() -> None:
    """Print the table that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sweep", action="store_true", help="all widths and sizes, int8")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    options = parser.parse_args()
    pin()
    print(f"{machine()}, one core, {time.strftime('%Y-%m-%d')}")
    if options.sweep:
        rows = {f"width {w} at {s} px": ms for (w, s), ms in sweep().items()}
    else:
        rows = shipped()
        measured = dict(rows)
        theirs = paper()
        rows |= theirs
        for name, ms in rows.items():
            print(f"{name:24} {ms:8.2f} ms per face")
        for name, ms in measured.items():
            ratios = ", ".join(f"{other} {slow / ms:.1f} times" for other, slow in theirs.items())
            print(f"{name}: {ratios}")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    sys.exit(main())
