"""The evaluation of `maskwatch evaluate`: chooses the photos, measures, writes text and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from maskwatch.errors import DataError
from maskwatch.lab.training import slices
from maskwatch.lab.training.dataset import Dataset, Photo
from maskwatch.lab.training.measure import BANDS, Figures, ModelOutputs, classified, crops_of, figures
from maskwatch.lab.training.plots import plot_confusion, plot_reliability
from maskwatch.lab.training.prepare import with_faces
from maskwatch.lab.training.tables import read_leaks
from maskwatch.lab.training.wholepath import PathFigures
from maskwatch.vision.interpreter import Interpreter
from maskwatch.vision.manifest import LABELS, Figure, Manifest, write_manifest

if TYPE_CHECKING:
    from maskwatch.vision.masks import MaskClassifier


class Comparison(msgspec.Struct, frozen=True):
    """Another model (the float one) on the same crops, image by image."""

    other: str
    images: int
    accuracy: float
    other_accuracy: float
    worse_images: int
    disagree: tuple[str, ...]


class Evaluation(msgspec.Struct, frozen=True):
    """The measurements of one command, as in its JSON report."""

    model: str
    sha256: str
    command: str
    machine: str
    date: str
    unreadable: tuple[str, ...]
    sets: tuple[Figures, ...]
    path: PathFigures | None = None
    comparison: Comparison | None = None


def chosen(photos: Sequence[Photo], split: str, sources: Sequence[str]) -> list[Photo]:
    """Return the photos of one side of the split (or "all") and of `sources` (none: any).

    Raises DataError if no photo remains.
    """
    existing = sorted({p.source for p in photos})
    unknown = sorted(set(sources) - set(existing))
    if unknown:
        raise DataError(f"{unknown[0]}: no such source; there are {', '.join(existing)}")
    remaining = [p for p in photos if split in {"all", p.split} and (not sources or p.source in sources)]
    if not remaining:
        raise DataError(f"no picture is left to evaluate: the split {split!r} of these folders is empty")
    return remaining


def without_leaks(photos: Sequence[Photo], leaks: Path) -> list[Photo]:
    """Return `photos` without the test pictures that the list names as also in train.

    Raises DataError if the list names none of them, or no photo remains.
    """
    listed = read_leaks(leaks, "test_path", frozenset(p.file for p in photos))
    remaining = [p for p in photos if p.file not in listed]
    if not remaining:
        raise DataError(f"{leaks}: no picture is left to evaluate: all {len(photos)} are on the list")
    return remaining


@dataclass(frozen=True, slots=True)
class EvaluationOptions:
    """Which slices to measure, and how many bootstrap rounds.

    Attributes:
        found: measure the slices that are found among the photos.
        made: measure the slices that are made from the photos.
        rounds: of the bootstrap.

    """

    found: bool = True
    made: bool = False
    rounds: int = 1000


def evaluate_faces(
    model: MaskClassifier, photos: Sequence[Photo], options: EvaluationOptions
) -> list[Figures]:
    """Return the figures of all photos, by height of boxed faces, by source, and by slice."""
    outputs = classified(model, photos)
    rows = [figures("all faces", outputs, options.rounds)]
    if any(p.box is not None for p in photos):
        heights = outputs.heights
        bands = {name: (heights >= low) & (heights < high) for name, low, high in BANDS[1:]}
        rows += _subsets(outputs, bands, options)
    sources = sorted({p.source for p in photos})
    if len(sources) > 1:
        by_source = {f"source {s}": np.array([p.source == s for p in photos]) for s in sources}
        rows += _subsets(outputs, by_source, options)
    searched = with_faces(photos, boxed=True) if options.found or options.made else tuple(photos)
    if options.found:
        found = {f"slice {name}": mask for name, mask in slices.found(searched).items()}
        rows += _subsets(outputs, found, options)
    if options.made:
        rows += [
            figures(f"slice {name}", classified(model, part), options.rounds)
            for name, part in slices.made(searched).items()
        ]
    return rows


def _subsets(
    outputs: ModelOutputs,
    masks: dict[str, np.ndarray[tuple[int], np.dtype[np.bool_]]],
    options: EvaluationOptions,
) -> list[Figures]:
    return [figures(name, outputs[mask], options.rounds) for name, mask in masks.items() if mask.any()]


def load_other(model: MaskClassifier, path: Path) -> Interpreter:
    """Load the .tflite file at `path` for a comparison with the model.

    Raises:
        ModelError: it cannot be loaded.
        DataError: its input or output differs from the model's.

    """
    other = Interpreter.from_file(path)
    size, labels = model.manifest.input.size, len(model.manifest.labels)
    for name, shape, expected in (
        ("input", other.input.shape, (1, size, size, 3)),
        ("output", other.output.shape, (1, labels)),
    ):
        if shape != expected:
            raise DataError(f"{path}: {name} is {shape}, {model.id} has {expected}")
    return other


def compare(model: MaskClassifier, name: str, other: Interpreter, photos: Sequence[Photo]) -> Comparison:
    """Compare `other` (of the same input and output) with the model, image by image."""
    crops = crops_of(photos, model.manifest.preprocess)
    truth = np.array([p.label for p in photos])
    predicted = model.logits(crops)[:, :2].argmax(axis=1)
    other_predicted = model.calibrated(other.run(np.stack(crops)))[:, :2].argmax(axis=1)
    binary = truth < 2
    correct = int((predicted == truth)[binary].sum())
    other_correct = int((other_predicted == truth)[binary].sum())
    images = int(binary.sum())
    differing = (predicted != other_predicted) & binary
    return Comparison(
        name,
        images,
        correct / max(1, images),
        other_correct / max(1, images),
        other_correct - correct,
        tuple(p.name for p, differs in zip(photos, differing, strict=True) if differs),
    )


def _interval(value: tuple[float, float, float]) -> str:
    return f"{value[0]:.4f} [{value[1]:.4f}, {value[2]:.4f}]"


def as_text(done: Evaluation) -> str:
    """Return the evaluation as text tables."""
    lines = [f"model {done.model}, {done.date}, {done.machine}", ""]
    head = f"{'set':26}{'faces':>6}  {'accuracy (95 %)':26}{'balanced (95 %)':26}"
    lines.append(f"{head}{'masked':>8}{'no mask':>8}{'ECE':>8}")
    for row in done.sets:
        recalls = "".join(f"{c.recall:8.4f}" if c.support else f"{'-':>8}" for c in row.classes)
        intervals = f"{_interval(row.accuracy):26}{_interval(row.balanced):26}"
        lines.append(f"{row.name:26}{row.faces:6}  {intervals}{recalls}{row.calibration:8.4f}")
    for row in done.sets:
        if row.incorrect is not None:
            recall, false, count = row.incorrect
            lines.append(
                f"{row.name}: worn incorrectly: recall {recall:.3f} of {count}; "
                f"{100 * false:.2f} % of correctly worn masks are judged so"
            )
    lines += _class_lines(done.sets[0]) if done.sets else []
    lines += _path_lines(done.path) if done.path else []
    if done.comparison:
        c = done.comparison
        lines.append(
            f"\nagainst {c.other}: {c.accuracy:.4f} to {c.other_accuracy:.4f} on {c.images} images; "
            f"{c.worse_images:+d} images lost; predictions differ on {len(c.disagree)}"
        )
        lines += [f"  differs: {name}" for name in c.disagree]
    lines += [f"unreadable, skipped: {path}" for path in done.unreadable]
    return "\n".join(lines)


def _class_lines(row: Figures) -> list[str]:
    lines = ["", f"{'':16}{'precision':>10}{'recall':>10}{'f1':>10}{'support':>10}"]
    return lines + [
        f"{c.label:16}{c.precision:10.4f}{c.recall:10.4f}{c.f1:10.4f}{c.support:10d}"
        for c in row.classes
    ]


def _path_lines(path: PathFigures) -> list[str]:
    lines = ["", f"whole path over {path.scenes} scenes: detector recall by face height"]
    lines.append(f"{'height':12}{'masked':>16}{'no mask':>16}{'judged right':>18}")
    for b in path.bands:
        masked, bare = _share(b.masked_found, b.masked), _share(b.bare_found, b.bare)
        lines.append(f"{b.band:12}{masked:>16}{bare:>16}{_share(b.judged_right, b.judged):>18}")
    return [
        *lines,
        (
            f"no mask, 24 px and more: precision {_interval(path.precision)}, "
            f"recall {_interval(path.recall)}"
        ),
        (
            f"  without the gate: precision {_interval(path.ungated_precision)}, "
            f"recall {_interval(path.ungated_recall)}"
        ),
        f"  {path.strangers} detections match no box; rejected by the gate: "
        + (", ".join(f"{name} {n}" for name, n in path.gated.items()) or "none"),
    ]


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.3f} of {whole}" if whole else "-"


def write_pictures(done: Evaluation, folder: Path) -> None:
    """Draw the first set's confusion matrix and reliability diagram into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for row in done.sets[:1]:
        plot_confusion(row.confusion, LABELS[:2], f"{done.model}: {row.name}", folder / "confusion.png")
        bins = [(b.confidence, b.accuracy) for b in row.bins]
        title = f"{done.model}: {row.name}"
        plot_reliability(bins, row.calibration, title, folder / "reliability.png")


def record(path: Path, manifest: Manifest, done: Evaluation, on: str) -> None:
    """Write the figures of `done`, measured on `on`, into the manifest; they replace older ones."""
    others = [f for f in manifest.metrics if f.on != on and not f.on.startswith(f"{on}: ")]
    write_manifest(path, msgspec.structs.replace(manifest, metrics=(*others, *_recorded(done, on))))


def _recorded(done: Evaluation, on: str) -> list[Figure]:
    def figure(
        name: str,
        where: str,
        value: float,
        count: int,
        low: float | None = None,
        high: float | None = None,
    ) -> Figure:
        clean = [None if x is None or np.isnan(x) else round(x, 4) for x in (low, high)]
        return Figure(name, where, round(value, 4), count, done.command, done.machine, done.date, *clean)

    rows: list[Figure] = []
    for s in done.sets:
        where = on if s.name == "all faces" else f"{on}: {s.name}"
        rows.append(figure("accuracy", where, s.accuracy[0], s.faces, *s.accuracy[1:]))
        if all(c.support for c in s.classes):
            rows.append(figure("balanced accuracy", where, s.balanced[0], s.faces, *s.balanced[1:]))
            rows.append(figure("calibration error", where, s.calibration, s.faces))
    if done.path:
        for name, value in (
            ("precision of no mask", done.path.precision),
            ("recall of no mask", done.path.recall),
        ):
            rows.append(
                figure(name, f"{on}: whole path, 24 px and more", value[0], done.path.scenes, *value[1:])
            )
    return [row for row in rows if not np.isnan(row.value)]  # nan: the set had no such face


def today() -> str:
    """Return today's date (UTC)."""
    return datetime.now(UTC).date().isoformat()


def merged(parts: Sequence[Dataset]) -> Dataset:
    """Return all `parts` as one data set."""
    return sum(parts, Dataset(()))
