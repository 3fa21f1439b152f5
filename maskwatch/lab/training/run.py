"""A training run: a folder that begins with settings and ends with a model and a report."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from maskwatch.errors import UsageError
from maskwatch.lab.training.augment import Augment
from maskwatch.lab.training.calibrate import fit_temperature, incorrect_threshold
from maskwatch.lab.training.dataset import Photo
from maskwatch.lab.training.features import Classical, extractor, fit_classical
from maskwatch.lab.training.history import Epoch, read_history
from maskwatch.lab.training.loop import Progress, fit, seed_everything
from maskwatch.lab.training.measure import crops_of
from maskwatch.lab.training.network import predict
from maskwatch.lab.training.prepare import Prepared, prepare
from maskwatch.lab.training.quantize import to_float, to_int8_corrected
from maskwatch.lab.training.report import Side, write_report
from maskwatch.lab.training.sampler import Batch, Sampler
from maskwatch.lab.training.settings import Settings, read_settings, write_settings
from maskwatch.vision.interpreter import Interpreter
from maskwatch.vision.manifest import (
    LABELS,
    DataSource,
    InputSpec,
    Manifest,
    OutputSpec,
    write_manifest,
)
from maskwatch.vision.preprocess import Preprocess

__all__ = ["Listener", "begin", "go_on"]

_LICENCES: Final = "see docs/model-card.md; pictures collected from the web, not shipped"


@dataclass(frozen=True, slots=True)
class Listener:
    """Whom a run tells what it does: lines of text, and where the loop stands."""

    say: Callable[[str], None]
    tell: Callable[[Progress | Epoch], None]


def begin(settings: Settings, run: Path, listener: Listener) -> Path:
    """Train into the new folder `run`; return the manifest of the int8 model.

    Raises UsageError where the folder has a run already, DataError for unusable pictures.
    """
    if _begun(run):
        raise UsageError(f"{run} has a run already; go on with --resume {run}, or choose another --out")
    prepared = prepare(settings, listener.say)
    run.mkdir(parents=True, exist_ok=True)
    write_settings(run, settings)
    return _work(settings, prepared, run, listener)


def _begun(run: Path) -> bool:
    """Return whether there is something to lose: settings alone are not."""
    return any((run / name).exists() for name in ("history.csv", "model.keras"))


def go_on(run: Path, listener: Listener) -> Path:
    """Go on with the run in folder `run` from its last whole epoch; return its manifest."""
    settings = read_settings(run)
    done = len(read_history(run))
    listener.say(f"resuming after epoch {done} of {settings.epochs}")
    return _work(settings, prepare(settings, listener.say), run, listener)


def _work(settings: Settings, prepared: Prepared, run: Path, listener: Listener) -> Path:
    seed_everything(settings.seed, settings.threads)
    _say_split(prepared, listener.say)
    classes = 1 + max(p.label for p in prepared.train)
    augment = Augment(settings.size, settings.margin, settings.strength)
    plain = settings.recipe != "cctv"
    sampler = Sampler(prepared.train, augment, batch=settings.batch, seed=settings.seed, plain=plain)
    preprocess = Preprocess(settings.size, settings.margin)
    validation = _batch(prepared.validation, preprocess)
    classical: list[tuple[Classical, Any]] = []
    if settings.recipe == "features":
        model, classical = _classical(settings, prepared, validation, preprocess, listener.say)
    else:
        steps = max(1, (settings.samples or len(prepared.train)) // settings.batch)
        model = fit(settings, sampler, validation, run, classes=classes, steps=steps, tell=listener.tell)
    listener.say("converting to TFLite")
    judged = validation if plain else _with_degraded(validation, prepared, settings, augment)
    manifest = _export(model, settings, prepared, judged, sampler.prior, run)
    sides = _sides(model, classical, prepared, validation, preprocess)
    write_report(run, settings, prepared, sides, manifest)
    return run / f"{manifest.id}.json"


def _say_split(prepared: Prepared, say: Callable[[str], None]) -> None:
    sides = (("train", prepared.train), ("validation", prepared.validation), ("test", prepared.test))
    for name, photos in sides:
        counts = Counter(LABELS[p.label] for p in photos)
        say(f"{name}: {len(photos)} faces ({', '.join(f'{n} {k}' for k, n in sorted(counts.items()))})")
    say(
        f"left out: {prepared.leaks} that show a picture kept for measuring, "
        f"{prepared.too_small} too small, "
        f"{len(prepared.unreadable)} unreadable, {len(prepared.held_out)} of held-out sources"
    )
    for path in prepared.unreadable:
        say(f"unreadable: {path}")


def _batch(photos: Sequence[Photo], preprocess: Preprocess) -> Batch:
    size = preprocess.size
    crops = crops_of(photos, preprocess)
    images = np.stack(crops) if crops else np.zeros((0, size, size, 3), np.uint8)
    return Batch(images, np.array([p.label for p in photos], np.int64))


def _with_degraded(validation: Batch, prepared: Prepared, settings: Settings, augment: Augment) -> Batch:
    """Return the validation crops and as many again as a camera would have given them.

    Ranges and temperature come from both: a camera's crops are what the model will be asked about.
    """
    draw = Sampler(prepared.validation, augment, batch=settings.batch, seed=settings.seed + 1)
    drawn = [draw.batch(i) for i in range(max(1, len(validation.labels) // settings.batch))]
    return Batch(
        np.concatenate([validation.images, *(b.images for b in drawn)]),
        np.concatenate([validation.labels, *(b.labels for b in drawn)]),
    )


def _classical(
    settings: Settings,
    prepared: Prepared,
    validation: Batch,
    preprocess: Preprocess,
    say: Callable[[str], None],
) -> tuple[Any, list[tuple[Classical, Any]]]:
    """Fit the scikit-learn classifiers; return the better one as a model, and all of them."""
    extract = extractor(settings)
    train = _batch(prepared.train, preprocess)
    say("fitting scikit-learn classifiers to features")
    fitted, _ = fit_classical(extract, train.images, train.labels, settings.seed)
    seen = predict(extract, validation.images)
    scores = [float((c.logits(seen).argmax(axis=1) == validation.labels).mean()) for c in fitted]
    for classifier, score in zip(fitted, scores, strict=True):
        say(f"{classifier.name}: accuracy {score:.4f} on validation")
    best = fitted[int(np.argmax(scores))]
    return best.as_head(extract), [(c, extract) for c in fitted]


def _export(
    model: Any,
    settings: Settings,
    prepared: Prepared,
    judged: Batch,
    prior: dict[int, float],
    run: Path,
) -> Manifest:
    """Write model.keras, the float and the int8 model, and the manifest of the latter."""
    model.save(run / "model.keras")
    name = f"masks-{settings.size}" + ("" if settings.width == 1 else f"-w{round(settings.width * 100)}")
    (run / f"{name}-float.tflite").write_bytes(to_float(model))
    int8 = to_int8_corrected(model, judged.images, settings.seed)
    (run / f"{name}.tflite").write_bytes(int8)
    interpreter = Interpreter(int8, name)
    logits = interpreter.run(judged.images)
    temperature = fit_temperature(logits, judged.labels)
    three = logits.shape[1] == len(LABELS)
    threshold = incorrect_threshold(logits / np.float32(temperature), judged.labels) if three else 0
    read, wrote = interpreter.input, interpreter.output
    sources = Counter(p.source for p in prepared.train)
    manifest = Manifest(
        format=1,
        id=name,
        created=datetime.now(UTC).replace(microsecond=0),
        description=f"MobileNetV2 {settings.width:g}, {settings.size} px, {settings.recipe}, int8",
        licence="Apache-2.0",
        file=f"{name}.tflite",
        sha256=hashlib.sha256(int8).hexdigest(),
        labels=LABELS[: logits.shape[1]],
        input=InputSpec(
            size=settings.size,
            margin=settings.margin,
            colour="rgb",
            dtype=read.dtype,
            scale=read.scale,
            zero_point=read.zero_point,
        ),
        output=OutputSpec(
            kind="logits", dtype=wrote.dtype, scale=wrote.scale, zero_point=wrote.zero_point
        ),
        temperature=temperature,
        prior={LABELS[label]: share for label, share in prior.items()},
        thresholds={LABELS[2]: threshold} if three else {},
        offsets={LABELS[1]: settings.lean} if settings.lean else {},
        metrics=(),
        data=tuple(DataSource(source, n, _LICENCES) for source, n in sorted(sources.items())),
    )
    write_manifest(run / f"{name}.json", manifest)
    return manifest


def _sides(
    model: Any,
    classical: list[tuple[Classical, Any]],
    prepared: Prepared,
    validation: Batch,
    preprocess: Preprocess,
) -> list[Side]:
    """Return raw logits of every trained variant on validation and, where there is one, on test."""
    sets = [("validation", prepared.validation, validation)]
    for name, photos in (("test", prepared.test), ("held-out sources", prepared.held_out)):
        if photos:
            sets.append((name, photos, _batch(photos, preprocess)))
    sides = []
    for name, photos, batch in sets:
        given = {"float": predict(model, batch.images)}
        for classifier, extract in classical:
            given[classifier.name] = classifier.logits(predict(extract, batch.images))
        sides.append(Side(name, tuple(photo.name for photo in photos), batch, given))
    return sides
