"""A training run: from the settings in its folder to a model and a report."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

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
from maskwatch.lab.training.report import EvaluatedSet, write_report
from maskwatch.lab.training.sampler import Batch, Sampler
from maskwatch.lab.training.settings import Settings, read_settings, with_name, write_settings
from maskwatch.lab.training.stages import OnStage, Stage, in_parts
from maskwatch.lab.training.tflite_weights import manifest_of
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


@dataclass(frozen=True, slots=True)
class ProgressReport:
    """Callbacks of a run: `line` gets lines of text, `progress` steps, epochs and later stages."""

    line: Callable[[str], None]
    progress: Callable[[Progress | Epoch | Stage], None]


def start_run(settings: Settings, run: Path, report: ProgressReport) -> Path:
    """Train into the new folder `run`; return the manifest of the int8 model.

    Raises UsageError if the folder has a run already or the name is not usable, DataError for
    unusable pictures.
    """
    if _has_run(run):
        raise UsageError(f"{run} has a run already; use --resume {run}, or choose another --out")
    settings = with_name(settings, run)
    prepared = prepare(settings, report.line)
    run.mkdir(parents=True, exist_ok=True)
    write_settings(run, settings)
    return _train(settings, prepared, run, report)


def _has_run(run: Path) -> bool:
    """Return whether the folder has results of training; settings alone may be overwritten."""
    return any((run / name).exists() for name in ("history.csv", "model.keras"))


def resume_run(run: Path, report: ProgressReport) -> Path:
    """Resume the run in folder `run` after its last complete epoch; return its manifest."""
    settings = with_name(read_settings(run), run)
    report.line(f"resuming after epoch {len(read_history(run))} of {settings.epochs}")
    return _train(settings, prepare(settings, report.line), run, report)


def _train(settings: Settings, prepared: Prepared, run: Path, report: ProgressReport) -> Path:
    seed_everything(settings.seed, settings.threads)
    _report_split(prepared, report.line)
    classes = 1 + max(p.label for p in prepared.train)
    augment = Augment(settings.size, settings.margin, settings.strength)
    plain = settings.recipe != "cctv"
    sampler = Sampler(prepared.train, augment, batch=settings.batch, seed=settings.seed, plain=plain)
    preprocess = Preprocess(settings.size, settings.margin)
    validation = _batch(prepared.validation, preprocess)
    classical: list[tuple[Classical, Any]] = []
    if settings.recipe == "features":
        model, classical = _classical(settings, prepared, validation, preprocess, report.line)
    else:
        steps = max(1, (settings.samples or len(prepared.train)) // settings.batch)
        model = fit(
            settings,
            sampler,
            validation,
            run,
            classes=classes,
            steps=steps,
            on_progress=report.progress,
        )
    calibration = validation if plain else _with_degraded(validation, prepared, settings, augment)
    manifest = _export(model, settings, prepared, calibration, sampler.prior, run, report.progress)
    sets = _evaluated_sets(model, classical, prepared, validation, preprocess, report.progress)
    write_report(run, settings, prepared, sets, manifest, report.progress)
    return run / f"{manifest.id}.json"


def _report_split(prepared: Prepared, report: Callable[[str], None]) -> None:
    sides = (("train", prepared.train), ("validation", prepared.validation), ("test", prepared.test))
    for name, photos in sides:
        counts = Counter(LABELS[p.label] for p in photos)
        report(
            f"{name}: {len(photos)} faces ({', '.join(f'{n} {k}' for k, n in sorted(counts.items()))})"
        )
    report(
        f"excluded: {prepared.leaks} that show a test or held-out picture, "
        f"{prepared.too_small} too small, "
        f"{len(prepared.unreadable)} unreadable, {len(prepared.held_out)} of held-out sources"
    )
    for path in prepared.unreadable:
        report(f"unreadable: {path}")


def _batch(photos: Sequence[Photo], preprocess: Preprocess) -> Batch:
    size = preprocess.size
    crops = crops_of(photos, preprocess)
    images = np.stack(crops) if crops else np.zeros((0, size, size, 3), np.uint8)
    return Batch(images, np.array([p.label for p in photos], np.int64))


def _with_degraded(validation: Batch, prepared: Prepared, settings: Settings, augment: Augment) -> Batch:
    """Return the validation crops and as many degraded ones.

    Ranges and temperature come from both, since the model classifies the crops of cameras.
    """
    sampler = Sampler(prepared.validation, augment, batch=settings.batch, seed=settings.seed + 1)
    degraded = [sampler.batch(i) for i in range(max(1, len(validation.labels) // settings.batch))]
    return Batch(
        np.concatenate([validation.images, *(b.images for b in degraded)]),
        np.concatenate([validation.labels, *(b.labels for b in degraded)]),
    )


def _classical(
    settings: Settings,
    prepared: Prepared,
    validation: Batch,
    preprocess: Preprocess,
    report: Callable[[str], None],
) -> tuple[Any, list[tuple[Classical, Any]]]:
    """Fit the scikit-learn classifiers; return the better one as a model, and all of them."""
    extract = extractor(settings)
    train = _batch(prepared.train, preprocess)
    report("fitting scikit-learn classifiers to features")
    fitted, _ = fit_classical(extract, train.images, train.labels, settings.seed)
    features = predict(extract, validation.images)
    scores = [float((c.logits(features).argmax(axis=1) == validation.labels).mean()) for c in fitted]
    for classifier, score in zip(fitted, scores, strict=True):
        report(f"{classifier.name}: accuracy {score:.4f} on validation")
    best = fitted[int(np.argmax(scores))]
    return best.as_head(extract), [(c, extract) for c in fitted]


def _export(
    model: Any,
    settings: Settings,
    prepared: Prepared,
    calibration: Batch,
    prior: dict[int, float],
    run: Path,
    on_stage: OnStage,
) -> Manifest:
    """Write model.keras, the float and the int8 model, and the manifest of the latter."""
    model.save(run / "model.keras")
    name = settings.name
    on_stage(Stage("converting to float TFLite"))
    (run / f"{name}-float.tflite").write_bytes(to_float(model))
    int8 = to_int8_corrected(model, calibration.images, settings.seed, on_stage)
    (run / f"{name}.tflite").write_bytes(int8)
    interpreter = Interpreter(int8, name)
    logits = in_parts(interpreter.run, calibration.images, "calibrating the int8 model", on_stage)
    temperature = fit_temperature(logits, calibration.labels)
    thresholds = {}
    if logits.shape[1] == len(LABELS):
        calibrated = logits / np.float32(temperature)
        thresholds[LABELS[2]] = incorrect_threshold(calibrated, calibration.labels)
    inputs, outputs = interpreter.input, interpreter.output
    sources = Counter(p.source for p in prepared.train)
    manifest = Manifest(
        format=1,
        id=name,
        created=datetime.now(UTC).replace(microsecond=0),
        description=_description(settings),
        licence=settings.licence,
        file=f"{name}.tflite",
        sha256=hashlib.sha256(int8).hexdigest(),
        labels=LABELS[: logits.shape[1]],
        input=InputSpec(
            size=settings.size,
            margin=settings.margin,
            colour="rgb",
            dtype=inputs.dtype,
            scale=inputs.scale,
            zero_point=inputs.zero_point,
        ),
        output=OutputSpec(
            kind="logits", dtype=outputs.dtype, scale=outputs.scale, zero_point=outputs.zero_point
        ),
        temperature=temperature,
        prior={LABELS[label]: share for label, share in prior.items()},
        thresholds=thresholds,
        offsets={LABELS[1]: settings.lean} if settings.lean else {},
        metrics=(),
        data=tuple(
            DataSource(source, n, settings.data_licence) for source, n in sorted(sources.items())
        ),
    )
    write_manifest(run / f"{name}.json", manifest)
    return manifest


def _description(settings: Settings) -> str:
    text = f"MobileNetV2 {settings.width:g}, {settings.size} px, {settings.recipe}, int8"
    start = manifest_of(settings.weights)
    return text if start is None else f"{text}, continued from {start.stem}"


def _evaluated_sets(
    model: Any,
    classical: list[tuple[Classical, Any]],
    prepared: Prepared,
    validation: Batch,
    preprocess: Preprocess,
    on_stage: OnStage,
) -> list[EvaluatedSet]:
    """Return raw logits of every variant on validation, and on test and held-out sources if any."""
    sets = [("validation", prepared.validation, validation)]
    for name, photos in (("test", prepared.test), ("held-out sources", prepared.held_out)):
        if photos:
            sets.append((name, photos, _batch(photos, preprocess)))
    evaluated = []
    for name, photos, batch in sets:
        text = f"evaluating the float model on {name}"
        logits = {"float": in_parts(partial(predict, model), batch.images, text, on_stage)}
        for classifier, extract in classical:
            text = f"evaluating {classifier.name} on {name}"
            features = in_parts(partial(predict, extract), batch.images, text, on_stage)
            logits[classifier.name] = classifier.logits(features)
        evaluated.append(EvaluatedSet(name, tuple(photo.name for photo in photos), batch, logits))
    return evaluated
