"""The loop trains, can be stopped and resumed, and is deterministic.

A small network stands in for MobileNetV2, whose tracing alone takes longer than all of this.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from maskwatch.errors import DataError, WeightsError
from maskwatch.lab.training import loop
from maskwatch.lab.training.augment import Augment
from maskwatch.lab.training.dataset import Photo, load_crops
from maskwatch.lab.training.history import Epoch, read_history
from maskwatch.lab.training.loop import Progress, fit, seed_everything
from maskwatch.lab.training.network import predict
from maskwatch.lab.training.sampler import Batch, Sampler
from maskwatch.lab.training.settings import Settings

# Keras 3 under numpy 2 warns about its own use of it.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SIZE = 32


def small(_settings: Settings, classes: int) -> keras.Model:
    """Return a network of the same kinds of layers as the real one, small enough for a test."""
    inputs = keras.Input((SIZE, SIZE, 3))
    x = keras.layers.Conv2D(8, 3, strides=4)(inputs)
    x = keras.layers.ReLU(6.0)(keras.layers.BatchNormalization(momentum=0.9)(x))
    x = keras.layers.Dropout(0.2)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, keras.layers.Dense(classes, name="logits")(x))


@pytest.fixture(autouse=True)
def _small_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "build", small)


@pytest.fixture
def photos(faces: Callable[..., Path]) -> tuple[Photo, ...]:
    """Twenty pictures of two classes that are easy to distinguish."""
    return load_crops(faces(with_mask=10, without_mask=10)).photos


def train(
    photos: tuple[Photo, ...],
    run: Path,
    epochs: int,
    on_progress: Callable[[Progress | Epoch], None] = lambda _: None,
    recipe: str = "cctv",
) -> keras.Model:
    """Train as `maskwatch train` does, on two steps of eight per epoch."""
    run.mkdir(exist_ok=True)
    settings = Settings(epochs=epochs, size=SIZE, batch=8, rate=0.02, recipe=recipe)  # type: ignore[arg-type]
    seed_everything(settings.seed)
    sampler = Sampler(photos, Augment(SIZE, 0.15, strength=0.2), batch=8, seed=settings.seed)
    validation = sampler.batch(10_000)
    return fit(settings, sampler, validation, run, classes=2, steps=2, on_progress=on_progress)


def weights(model: keras.Model) -> np.ndarray:
    """Return all weights as one vector."""
    return np.concatenate([w.ravel() for w in model.get_weights()])


@pytest.mark.long
def test_the_loss_falls_and_the_history_records_it(photos: tuple[Photo, ...], tmp_path: Path) -> None:
    """One row per epoch, progress in between, and better than chance at the end."""
    said: list[Progress | Epoch] = []
    train(photos, tmp_path / "run", 12, said.append)
    history = read_history(tmp_path / "run")
    assert [e.epoch for e in history] == list(range(1, 13))
    assert history[-1].loss < history[0].loss
    assert history[-1].rate < max(e.rate for e in history)
    assert [s.step for s in said if isinstance(s, Progress)][:3] == [1, 2, 1]
    assert [s for s in said if isinstance(s, Epoch)] == history


@pytest.mark.long
@pytest.mark.sweep
def test_one_seed_gives_one_model(photos: tuple[Photo, ...], tmp_path: Path) -> None:
    one, other = (train(photos, tmp_path / name, 2) for name in "ab")
    assert (weights(one) == weights(other)).all()


@pytest.mark.long
def test_a_stopped_run_resumes_where_it_was(photos: tuple[Photo, ...], tmp_path: Path) -> None:
    """A run stopped in its third epoch and resumed has the weights of a run never stopped."""

    def stop(state: Progress | Epoch) -> None:
        if isinstance(state, Progress) and state.epoch == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(photos, tmp_path / "stopped", 4, stop)
    assert len(read_history(tmp_path / "stopped")) == 2
    resumed = train(photos, tmp_path / "stopped", 4)
    whole = train(photos, tmp_path / "whole", 4)
    assert np.allclose(weights(resumed), weights(whole), atol=1e-6)
    assert [e.loss for e in read_history(tmp_path / "stopped")] == pytest.approx(
        [e.loss for e in read_history(tmp_path / "whole")]
    )


def test_the_papers_learning_rate_decays(photos: tuple[Photo, ...], tmp_path: Path) -> None:
    """Plain Adam with a decreasing rate."""
    model = train(photos, tmp_path / "paper", 3, recipe="paper")
    assert type(model.optimizer).__name__ == "Adam"
    rates = [e.rate for e in read_history(tmp_path / "paper")]
    assert rates == sorted(rates, reverse=True)
    assert len(set(rates)) == 3


def test_a_teachers_outputs_are_mixed_into_the_targets() -> None:
    """0.6 of the teacher's probabilities and 0.4 of the smoothed label."""
    model = small(Settings(), 2)
    x = np.zeros((1, SIZE, SIZE, 3), np.float32)
    alone = loop._targets(model, None, x, np.array([1]))
    taught = loop._targets(model, model, x, np.array([1]))
    said = keras.ops.convert_to_numpy(keras.ops.softmax(model.predict_on_batch(x)))
    assert alone.sum() == pytest.approx(1)
    assert alone[0, 1] > 0.98
    assert taught == pytest.approx(0.4 * alone + 0.6 * said, abs=1e-5)


@pytest.mark.parametrize(("size", "classes", "words"), [(48, 2, "input"), (SIZE, 3, "classes 3")])
def test_a_teacher_of_another_shape_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, size: int, classes: int, words: str
) -> None:
    pupil = small(Settings(), 2)
    monkeypatch.setattr(sys.modules[__name__], "SIZE", size)
    path = tmp_path / "teacher.keras"
    small(Settings(), classes).save(path)
    with pytest.raises(WeightsError, match=f"teacher.keras: the teacher has {words}"):
        loop._teacher(path, pupil)


def test_a_damaged_state_is_reported(photos: tuple[Photo, ...], tmp_path: Path) -> None:
    train(photos, tmp_path, 1)
    for harm in (b"no model", None):
        state = tmp_path / "state.keras"
        state.write_bytes(harm) if harm else state.unlink()
        with pytest.raises(WeightsError, match=r"state\.keras: cannot load"):
            train(photos, tmp_path, 2)


@pytest.mark.parametrize("text", ["epoch\n1\n", "epoch,loss\nx,y\n", "epoch\n\x00\n"])
def test_a_malformed_history_is_reported(tmp_path: Path, text: str) -> None:
    (tmp_path / "history.csv").write_text(text)
    with pytest.raises(DataError, match=r"history\.csv: not a history"):
        read_history(tmp_path)


def test_the_validation_loss_is_the_cross_entropy() -> None:
    model = small(Settings(), 2)
    images = np.random.default_rng(0).integers(0, 256, (6, SIZE, SIZE, 3), np.uint8)
    labels = np.array([0, 1, 0, 1, 1, 0])
    loss, accuracy = loop._validate(model, Batch(images, labels))
    logits = predict(model, images)
    expected = keras.losses.sparse_categorical_crossentropy(labels, logits, from_logits=True)
    assert loss == pytest.approx(float(np.mean(expected)), rel=1e-4)
    assert accuracy == pytest.approx((logits.argmax(axis=1) == labels).mean())
