"""The training loop: epochs of sampled batches, and the state on disk after each."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from maskwatch.errors import WeightsError
from maskwatch.lab.training.history import Epoch, read_history, write_history
from maskwatch.lab.training.network import build, load_model, predict, scaled
from maskwatch.lab.training.sampler import Batch, Sampler, prefetch
from maskwatch.lab.training.settings import Settings
from maskwatch.lab.training.stages import Stage
from maskwatch.lab.training.tflite_weights import fit_normalizations, manifest_of

_SMOOTHING: Final = 0.03
_TEACHER_SHARE: Final = 0.6
_STATE: Final = "state.keras"
_STATISTICS_CROPS: Final = 512

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress within an epoch: completed steps, and running loss and accuracy."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    accuracy: float


def seed_everything(seed: int, threads: int = 0) -> None:
    """Make Python, numpy and TensorFlow deterministic.

    With several threads TensorFlow needs slower kernels for this; a single thread does not.
    """
    keras.utils.set_random_seed(seed)
    if threads:  # TensorFlow refuses any setting, even the default, after its first computation
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)
    if threads != 1:
        tf.config.experimental.enable_op_determinism()


def fit(
    settings: Settings,
    sampler: Sampler,
    validation: Batch,
    run: Path,
    *,
    classes: int,
    steps: int,
    on_progress: Callable[[Progress | Epoch | Stage], None],
) -> keras.Model:
    """Start or resume the run in folder `run`, and return its model.

    The state is saved after every epoch; a stopped run loses at most its last epoch.
    """
    history = read_history(run)
    if history:
        model = load_model(run / _STATE, to_train=True)
    else:
        model = _compiled(settings, classes, steps)
        if manifest_of(settings.weights) is not None:
            on_progress(Stage("measuring the statistics of the batch normalizations"))
            _fit_normalizations(model, sampler, settings.batch)
    teacher = _teacher(Path(settings.teacher), model) if settings.teacher else None
    for epoch in range(len(history) + 1, settings.epochs + 1):
        began = time.monotonic()
        loss, accuracy = _epoch(model, teacher, sampler, epoch, settings.epochs, steps, on_progress)
        val_loss, val_accuracy = _validate(model, validation)
        rate = float(keras.ops.convert_to_numpy(model.optimizer.learning_rate))
        finished = Epoch(epoch, loss, accuracy, val_loss, val_accuracy, rate, time.monotonic() - began)
        history.append(finished)
        _save(run, model, history)
        on_progress(finished)
    return model


def _fit_normalizations(model: Any, sampler: Sampler, batch: int) -> None:
    batches = [sampler.batch(number).images for number in range(-(-_STATISTICS_CROPS // batch))]
    fit_normalizations(model, scaled(np.concatenate(batches)))


def _compiled(settings: Settings, classes: int, steps: int) -> keras.Model:
    model = build(settings, classes)
    model.compile(
        optimizer=_optimizer(settings, steps),
        # For two classes this equals the binary cross-entropy of the softmax.
        loss=keras.losses.CategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    return model


def _optimizer(settings: Settings, steps: int) -> Any:
    """Return the paper's Adam with decay, or AdamW with warm-up and cosine decay."""
    if settings.recipe == "paper":
        schedule = keras.optimizers.schedules.InverseTimeDecay(
            settings.rate, decay_steps=1, decay_rate=settings.rate / settings.epochs
        )
        return keras.optimizers.Adam(schedule)
    total = steps * settings.epochs
    schedule = keras.optimizers.schedules.CosineDecay(
        settings.rate / 30,
        total,
        alpha=0.01,
        warmup_target=settings.rate,
        warmup_steps=max(1, min(150, total // 10)),
    )
    return keras.optimizers.AdamW(schedule, weight_decay=2e-4, global_clipnorm=1.0)


def _teacher(path: Path, model: keras.Model) -> keras.Model:
    teacher = load_model(path)
    for name, found, expected in (
        ("input", teacher.input_shape, model.input_shape),
        ("classes", teacher.output_shape[-1], model.output_shape[-1]),
    ):
        if found != expected:
            raise WeightsError(
                f"{path}: the teacher has {name} {found}; expected {expected}, as in the model to train"
            )
    return teacher


def _epoch(
    model: Any, teacher: Any, sampler: Sampler, epoch: int, epochs: int, steps: int,
    on_progress: Callable[[Progress | Epoch | Stage], None],
) -> tuple[float, float]:  # fmt: skip
    """Train one epoch; return its mean loss and accuracy."""
    _seed_dropout(model, epoch)
    first = (epoch - 1) * steps
    sums = np.zeros(2)
    threads = min(4, max(1, (os.cpu_count() or 2) // 2))
    for step, batch in enumerate(prefetch(sampler, first, first + steps, threads), start=1):
        x = scaled(batch.images)
        # Keras 3 returns running means over the batches since the last reset.
        model.reset_metrics()
        sums += model.train_on_batch(x, _targets(model, teacher, x, batch.labels))
        on_progress(Progress(epoch, epochs, step, steps, *map(float, sums / step)))
    loss, accuracy = map(float, sums / steps)
    return loss, accuracy


def _seed_dropout(model: Any, epoch: int) -> None:
    """Seed the epoch's dropout with its number, so that a resumed run drops the same units."""
    for number, layer in enumerate(model.layers):
        if isinstance(layer, keras.layers.Dropout):
            layer.seed_generator.state.assign([number, epoch])


def _targets(model: Any, teacher: Any, x: Array, labels: npt.NDArray[np.int64]) -> Array:
    """Return smoothed one-hot targets (n, classes), mixed with the teacher's outputs if there is one."""
    classes = int(model.output_shape[-1])
    hard = np.eye(classes, dtype=np.float32)[labels] * (1 - _SMOOTHING) + _SMOOTHING / classes
    if teacher is None:
        return np.asarray(hard, np.float32)
    soft = np.asarray(keras.ops.softmax(teacher.predict_on_batch(x)), np.float32)
    return np.asarray((1 - _TEACHER_SHARE) * hard + _TEACHER_SHARE * soft, np.float32)


def _validate(model: Any, validation: Batch) -> tuple[float, float]:
    """Return mean cross-entropy and accuracy on the validation crops."""
    logits = predict(model, validation.images)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    true_log_p = log_p[np.arange(len(log_p)), validation.labels]
    return float(-true_log_p.mean()), float((logits.argmax(axis=1) == validation.labels).mean())


def _save(run: Path, model: Any, history: list[Epoch]) -> None:
    """Write state and history atomically; the history is last, since it counts the epochs."""
    temporary = run / "next.keras"
    model.save(temporary)
    temporary.replace(run / _STATE)
    write_history(run, history)
