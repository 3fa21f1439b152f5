"""Readings of the shipped model."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from maskwatch.domain import Box, Detection, Point
from maskwatch.domain.frame import ImagePixels
from maskwatch.errors import ManifestError
from maskwatch.vision.manifest import LABELS
from maskwatch.vision.masks import MaskClassifier

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def model() -> MaskClassifier:
    """The shipped model."""
    return MaskClassifier()


def face(x1: float, y1: float, x2: float, y2: float) -> Detection:
    """A detection with meaningless landmarks."""
    middle = Point((x1 + x2) / 2, (y1 + y2) / 2)
    return Detection(Box(x1, y1, x2, y2), 0.9, (middle, middle, middle, middle, middle))


def test_golden_crops_get_golden_logits(model: MaskClassifier) -> None:
    """The shipped model returns what it did when it was shipped.

    Runtimes differ by up to 0.1 in probability on int8 models, hence the tolerance.
    """
    names = ("inside", "outside", "small")
    found = model.logits([np.load(GOLDEN / f"{name}.npy") for name in names])
    golden = np.load(GOLDEN / "logits.npy")
    assert found.shape == golden.shape
    assert abs(found - golden).max() < 0.5


def test_readings_come_in_the_order_of_the_detections(model: MaskClassifier) -> None:
    """One for each, and a detection alone gets the same reading."""
    frame = np.random.default_rng(1).integers(0, 256, (120, 160, 3), np.uint8)
    detections = [face(10, 10, 50, 60), face(80, 20, 110, 60), face(-5, 90, 30, 130)]
    readings = model.classify(ImagePixels(frame), detections)
    assert readings == [model.classify(ImagePixels(frame), [one])[0] for one in detections]
    assert len(set(readings)) == 3
    assert all(reading.gate is None for reading in readings)


def test_without_a_detection_there_is_no_reading(model: MaskClassifier) -> None:
    """An empty frame costs nothing."""
    assert model.classify(ImagePixels(np.zeros((20, 20, 3), np.uint8)), []) == []


def test_logits_are_named_by_the_manifest_and_divided_by_its_temperature(model: MaskClassifier) -> None:
    """The reading holds the calibrated row."""
    frame = np.random.default_rng(2).integers(0, 256, (90, 90, 3), np.uint8)
    crop = model.manifest.preprocess.face(ImagePixels(frame), Box(20, 20, 60, 70))
    row = model.logits([crop])[0]
    raw = model._interpreter.run(crop[None])[0]
    offsets = [model.manifest.offsets.get(label, 0.0) for label in model.manifest.labels]
    assert row == pytest.approx(raw / model.manifest.temperature + offsets, rel=1e-5)
    reading = model.classify(ImagePixels(frame), [face(20, 20, 60, 70)])[0]
    assert reading.logits is not None
    assert (reading.logits.mask, reading.logits.no_mask) == (float(row[0]), float(row[1]))
    assert model.manifest.labels == LABELS
    assert reading.logits.incorrect == float(row[2])


def test_the_prior_is_the_logarithm_of_the_shares(model: MaskClassifier) -> None:
    """The evidence subtracts it."""
    shares = model.manifest.prior
    assert np.exp(model.prior.mask) == pytest.approx(shares["with_mask"], rel=1e-5)
    assert np.exp(model.prior.no_mask) == pytest.approx(shares["without_mask"], rel=1e-5)


def test_a_missing_manifest_is_an_error(tmp_path: Path) -> None:
    """Named, before any frame."""
    with pytest.raises(ManifestError, match=r"none\.json"):
        MaskClassifier(tmp_path / "none.json")


@pytest.mark.shared
def test_nine_of_ten_portraits_are_read_correctly(model: MaskClassifier, shared_data: Path) -> None:
    """Of forty faces per class that the model never saw, nine in ten are right."""
    for label, column in (("with_mask", 0), ("without_mask", 1)):
        rows = (shared_data / "paper/split.csv").read_text().splitlines()
        names = [r.split(",")[0] for r in rows if r.startswith(f"{label}/") and r.endswith(",test")][:40]
        images = [cv2.imread(str(shared_data / "paper" / name)) for name in names]
        crops = [model.manifest.preprocess.whole(np.asarray(i, np.uint8)) for i in images]
        assert (model.logits(crops)[:, :2].argmax(axis=1) == column).mean() >= 0.9
