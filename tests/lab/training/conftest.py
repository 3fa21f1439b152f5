"""Small folders of generated pictures in the layout of training data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.fakes.training_data import picture


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
