"""Small folders of made pictures, laid out as training data is."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

COLOURS = {
    "with_mask": (230, 180, 40),
    "without_mask": (120, 160, 220),
    "mask_worn_incorrectly": (40, 40, 40),
}


def picture(label: str, seed: int, side: int = 48) -> np.ndarray:
    """A noisy head of one colour with a mouth region of another: easy to learn, never twice the same."""
    rng = np.random.default_rng([seed, *label.encode()])
    image = rng.integers(0, 256, (6, 6, 3), np.uint8)
    image = cv2.resize(image, (side, side), interpolation=cv2.INTER_CUBIC)
    cv2.ellipse(
        image, (side // 2, side // 2), (side // 3, int(side / 2.3)), 0, 0, 360, (120, 160, 220), -1
    )
    shift = int(rng.integers(-2, 3))
    cv2.rectangle(
        image, (side // 4, side // 2 + shift), (3 * side // 4, int(0.85 * side)), COLOURS[label], -1
    )
    return image


@pytest.fixture
def faces(tmp_path: Path) -> Callable[..., Path]:
    """Write a folder of crops: `faces(with_mask=6, without_mask=6)`."""

    def write(name: str = "faces", **counts: int) -> Path:
        folder = tmp_path / name
        for label, count in counts.items():
            (folder / label).mkdir(parents=True)
            for i in range(count):
                cv2.imwrite(str(folder / label / f"{i:03}.png"), picture(label, i))
        return folder

    return write


@pytest.fixture
def hall(tmp_path: Path) -> Path:
    """Two photographs of two faces each, with annotations."""
    folder = tmp_path / "hall"
    (folder / "images").mkdir(parents=True)
    images = []
    for i in range(2):
        scene = np.full((120, 200, 3), 90 + 60 * i, np.uint8)
        scene[10:58, 20:68] = picture("with_mask", 100 + i)
        scene[40:72, 120:152] = cv2.resize(picture("without_mask", 100 + i), (32, 32))
        cv2.imwrite(str(folder / f"images/{i}.png"), scene)
        boxes = [[24, 14, 64, 56], [122, 42, 150, 70]]
        images.append(
            {
                "file": f"images/{i}.png", "width": 200, "height": 120, "boxes": boxes,
                "classes": ["with_mask", "without_mask"],
            }
        )  # fmt: skip
    (folder / "annotations.json").write_text(json.dumps({"images": images}))
    return folder / "annotations.json"


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    """Write rows under their keys."""
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path
