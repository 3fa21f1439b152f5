"""Pictures of faces and tables, generated for the tests of training."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np

_COLOURS = {
    "with_mask": (230, 180, 40),
    "without_mask": (120, 160, 220),
    "mask_worn_incorrectly": (40, 40, 40),
}


def picture(label: str, seed: int, side: int = 48) -> np.ndarray:
    """A noisy head of one colour with a mouth region of another: easy to learn, and each differs."""
    rng = np.random.default_rng([seed, *label.encode()])
    image = rng.integers(0, 256, (6, 6, 3), np.uint8)
    image = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
    cv2.ellipse(
        image, (side // 2, side // 2), (side // 3, int(side / 2.3)), 0, 0, 360, (120, 160, 220), -1
    )
    shift = int(rng.integers(-2, 3))
    cv2.rectangle(
        image, (side // 4, side // 2 + shift), (3 * side // 4, int(0.85 * side)), _COLOURS[label], -1
    )
    return image


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    """Write rows under their keys."""
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
