"""The report of a training run: every variant on every set, float compared with int8."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from maskwatch.files import json_text, printable
from maskwatch.lab.training.history import read_history
from maskwatch.lab.training.metrics import ClassFigures, Floats, class_figures, confusion
from maskwatch.lab.training.plots import plot_confusion, plot_history
from maskwatch.lab.training.sampler import Batch
from maskwatch.lab.training.stages import OnStage, Stage, in_parts, unreported
from maskwatch.vision.manifest import LABELS, Manifest
from maskwatch.vision.masks import MaskClassifier

if TYPE_CHECKING:
    from maskwatch.lab.training.prepare import Prepared
    from maskwatch.lab.training.settings import Settings


@dataclass(frozen=True, slots=True)
class EvaluatedSet:
    """One set of crops, the names of their pictures, and each variant's raw logits (n, classes)."""

    name: str
    pictures: tuple[str, ...]
    batch: Batch
    logits: dict[str, Floats]


class _Row(msgspec.Struct, frozen=True):
    """One variant on one set, as in report.json."""

    set: str
    variant: str
    images: int
    accuracy: float
    wrong: int
    classes: list[ClassFigures]
    confusion: list[list[int]]


def classification_report(rows: list[ClassFigures], accuracy: float) -> str:
    """Return precision, recall, F1 and support per class as a table."""
    lines = [f"{'':24}{'precision':>10}{'recall':>10}{'f1':>10}{'support':>10}"]
    lines += [
        f"{r.label:24}{r.precision:10.4f}{r.recall:10.4f}{r.f1:10.4f}{r.support:10d}" for r in rows
    ]
    total = sum(r.support for r in rows)
    return "\n".join([*lines, f"{'accuracy':24}{'':20}{accuracy:10.4f}{total:10d}"])


def write_report(
    run: Path,
    settings: Settings,
    prepared: Prepared,
    sets: list[EvaluatedSet],
    manifest: Manifest,
    on_stage: OnStage = unreported,
) -> None:
    """Write report.txt, report.json, float-against-int8.csv and the plots into the run folder."""
    model = MaskClassifier(run / f"{manifest.id}.json")
    rows: list[_Row] = []
    compared: list[str] = []
    for each in sets:
        text = f"evaluating the int8 model on {each.name}"
        int8 = in_parts(lambda part: model.logits(list(part)), each.batch.images, text, on_stage)
        # `logits` are calibrated and have the manifest's offsets; for a comparison, float needs both.
        calibrated = model.calibrated(each.logits["float"])
        variants = {**each.logits, "float": calibrated, "int8": int8}
        rows += [_row(each, name, logits) for name, logits in variants.items()]
        compared.append(_compare(run, each, calibrated, int8))
    on_stage(Stage("writing the report"))
    (run / "report.json").write_text(json_text(rows, indent=2) + "\n", encoding="utf-8")
    (run / "report.txt").write_text(
        printable(_text(settings, prepared, manifest, rows, compared)), encoding="utf-8"
    )
    _plots(run, rows)


def _row(crops: EvaluatedSet, variant: str, logits: Floats) -> _Row:
    truth = crops.batch.labels
    classes = logits.shape[1]
    # Pictures of a class that the model does not have are left out of all figures.
    included = truth < classes
    predicted = logits.argmax(axis=1)[included]
    matrix = confusion(truth[included], predicted, classes)
    correct = int(np.trace(matrix))
    total = int(matrix.sum())
    return _Row(
        crops.name, variant, total, correct / max(1, total), total - correct,
        class_figures(matrix, LABELS[:classes]), matrix.tolist(),
    )  # fmt: skip


def _compare(run: Path, crops: EvaluatedSet, float_logits: Floats, int8: Floats) -> str:
    """Write float's and int8's prediction for each image; return the summary line."""
    one, other = float_logits.argmax(axis=1), int8.argmax(axis=1)
    path = run / f"float-against-int8-{crops.name.replace(' ', '-')}.csv"
    with path.open("w", newline="", encoding="utf-8", errors="surrogateescape") as stream:
        writer = csv.writer(stream)
        writer.writerow(["picture", "true", "float", "int8", "differs"])
        for i, (picture, truth) in enumerate(zip(crops.pictures, crops.batch.labels, strict=True)):
            names = (LABELS[int(truth)], LABELS[int(one[i])], LABELS[int(other[i])])
            writer.writerow([picture, *names, int(one[i] != other[i])])
    return f"{crops.name}: float and int8 disagree on {int((one != other).sum())} of {len(int8)} images"


def _text(
    settings: Settings, prepared: Prepared, manifest: Manifest, rows: list[_Row], compared: list[str]
) -> str:
    head = [
        f"model {manifest.id}: {manifest.description}",
        f"sha256 {manifest.sha256}",
        (
            f"recipe {settings.recipe}, seed {settings.seed}, {len(prepared.train)} training faces, "
            f"{len(prepared.unreadable)} unreadable pictures skipped"
        ),
        f"temperature {manifest.temperature}, thresholds {dict(manifest.thresholds)}",
        "",
        *compared,
    ]
    for row in rows:
        head += ["", f"{row.set}, {row.variant}", classification_report(row.classes, row.accuracy)]
    return "\n".join(head) + "\n"


def _plots(run: Path, rows: list[_Row]) -> None:
    history = read_history(run)
    if history:
        plot_history(history, run / "history.png")
    for row in rows:
        if row.variant == "int8":
            labels = LABELS[: len(row.confusion)]
            path = run / f"confusion-{row.set.replace(' ', '-')}.png"
            plot_confusion(row.confusion, labels, f"{row.set}, int8", path)
