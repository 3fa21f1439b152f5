"""A Keras network from the weights of the shipped model."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import numpy.typing as npt
import pytest

from maskwatch.errors import ManifestError, WeightsError
from maskwatch.lab.training.network import build, predict, scaled
from maskwatch.lab.training.settings import Recipe, Settings
from maskwatch.lab.training.tflite_weights import fit_normalizations, manifest_of
from maskwatch.vision.interpreter import Interpreter
from maskwatch.vision.manifest import default_manifest, read_manifest
from tests.fakes.training_data import picture

pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
]


@pytest.fixture(scope="module")
def crops() -> npt.NDArray[np.uint8]:
    labels = ("with_mask", "without_mask", "mask_worn_incorrectly")
    return np.stack([picture(label, i, side=112) for label in labels for i in range(16)])


def shipped(crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the shipped model's raw logits."""
    path = default_manifest()
    return Interpreter.from_file(path.parent / read_manifest(path).file).run(crops)


@pytest.mark.long
@pytest.mark.sweep
def test_the_shipped_model_is_continued_with_its_own_outputs(crops: npt.NDArray[np.uint8]) -> None:
    """The logits are those of the .tflite file; in training too, after the statistics are measured."""
    expected = shipped(crops)
    model = build(Settings(weights="masks-112"), 3)
    rebuilt = predict(model, crops)
    assert np.abs(rebuilt - expected).mean() < 0.1
    assert (rebuilt.argmax(axis=1) == expected.argmax(axis=1)).mean() > 0.9
    fit_normalizations(model, scaled(crops))
    assert predict(model, crops) == pytest.approx(rebuilt, abs=0.01)
    base = model.layers[1]
    features = np.asarray(base(scaled(crops), training=True)).mean(axis=(1, 2))
    kernel, bias = model.get_layer("logits").get_weights()
    assert features @ kernel + bias == pytest.approx(rebuilt, abs=0.05)
    two = build(Settings(weights=str(default_manifest())), 2)
    assert predict(two, crops) == pytest.approx(rebuilt[:, :2], abs=1e-3)


@pytest.mark.parametrize("recipe", ["cctv", "paper"])
def test_weights_of_another_width_are_an_error(recipe: Recipe) -> None:
    with pytest.raises(WeightsError, match=r"no weights for MobileNetV2 of width 0\.35 from masks-112"):
        build(Settings(size=32, width=0.35, weights="masks-112", recipe=recipe), 3)


def test_a_manifest_that_is_missing_or_no_manifest_is_named(tmp_path: Path) -> None:
    (tmp_path / "none.json").touch()
    for name in ("missing.json", "none.json"):
        with pytest.raises(ManifestError, match=name):
            build(Settings(size=32, weights=str(tmp_path / name)), 3)
    assert manifest_of("none") is manifest_of("") is manifest_of("state.keras") is None


@pytest.mark.long
def test_normalizations_keep_the_outputs_of_any_network() -> None:
    """A network that was trained has other statistics than 0 and 1."""
    crops = np.random.default_rng(1).normal(size=(8, 32, 32, 3)).astype(np.float32)
    model = build(Settings(size=32, width=0.35, weights="none"), 2)
    before = np.asarray(model.predict_on_batch(crops))
    fit_normalizations(model, crops)
    assert np.asarray(model.predict_on_batch(crops)) == pytest.approx(before, abs=1e-4)
    first = next(x for x in model.layers[1].layers if isinstance(x, keras.layers.BatchNormalization))
    assert not np.allclose(first.get_weights()[2], 0)
