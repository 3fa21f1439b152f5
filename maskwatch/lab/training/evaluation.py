"""What `maskwatch evaluate` does: choose the sets, measure, write text, JSON and pictures."""

from __future__ import annotations

import platform
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
from maskwatch.lab.training.measure import BANDS, Answers, Figures, answers, crops_of, figures
from maskwatch.lab.training.plots import plot_confusion, plot_reliability
from maskwatch.lab.training.prepare import with_faces
from maskwatch.lab.training.tables import read_leaks
from maskwatch.lab.training.wholepath import PathFigures
from maskwatch.vision.interpreter import Interpreter
from maskwatch.vision.manifest import LABELS, Figure, Manifest, write_manifest

if TYPE_CHECKING:
    from maskwatch.vision.masks import MaskClassifier

__all__ = [
    "Comparison",
    "Evaluation",
    "as_text",
    "chosen",
    "compare",
    "evaluate_faces",
    "machine",
    "record",
    "rival",
    "without_leaks",
    "write_pictures",
]


class Comparison(msgspec.Struct, frozen=True):
    """Another model (the float one) on the same crops, image by image."""

    other: str
    images: int
    accuracy: float
    other_accuracy: float
    worse_images: int
    disagree: tuple[str, ...]


class Evaluation(msgspec.Struct, frozen=True):
    """Everything one call measured, as it stands in the JSON."""

    model: str
    sha256: str
    command: str
    machine: str
    date: str
    unreadable: tuple[str, ...]
    sets: tuple[Figures, ...]
    path: PathFigures | None = None
    comparison: Comparison | None = None


def machine() -> str:
    """Return what stands beside a figure as the machine it was measured on."""
    return f"{_processor()}, {platform.system()}, Python {platform.python_version()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} x{len(names)}" if names else platform.machine()


def chosen(photos: Sequence[Photo], split: str, sources: Sequence[str]) -> list[Photo]:
    """Return the photos of one side of the split (or "all") and of `sources` (none: any).

    Raises DataError where nothing is left.
    """
    known = sorted({p.source for p in photos})
    unknown = sorted(set(sources) - set(known))
    if unknown:
        raise DataError(f"{unknown[0]}: no such source; there are {', '.join(known)}")
    left = [p for p in photos if split in {"all", p.split} and (not sources or p.source in sources)]
    if not left:
        raise DataError(f"no picture is left to evaluate: the split {split!r} of these folders is empty")
    return left


def without_leaks(photos: Sequence[Photo], leaks: Path) -> list[Photo]:
    """Return `photos` without the test pictures that the list says are in train too.

    Raises DataError where the list names none of them, or nothing is left.
    """
    listed = read_leaks(leaks, "test_path", frozenset(p.file for p in photos))
    left = [p for p in photos if p.file not in listed]
    if not left:
        raise DataError(f"{leaks}: no picture is left to evaluate: all {len(photos)} are on the list")
    return left


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which sets of figures to make beside the whole."""

    found: bool = True
    made: bool = False
    rounds: int = 1000


def evaluate_faces(model: MaskClassifier, photos: Sequence[Photo], wanted: Wanted) -> list[Figures]:
    """Return the figures of all photos, by height where boxes tell it, by source, and by slice."""
    given = answers(model, photos)
    boxed = any(p.box is not None for p in photos)
    rows = [figures("all faces", given, wanted.rounds)]
    if boxed:
        rows += _some(
            given,
            {n: (given.heights >= low) & (given.heights < high) for n, low, high in BANDS[1:]},
            wanted,
        )
    sources = sorted({p.source for p in photos})
    if len(sources) > 1:
        named = {f"source {s}": np.array([p.source == s for p in photos]) for s in sources}
        rows += _some(given, named, wanted)
    looked = with_faces(photos, boxed=True) if wanted.found or wanted.made else tuple(photos)
    if wanted.found:
        rows += _some(given, {f"slice {n}": m for n, m in slices.found(looked).items()}, wanted)
    if wanted.made:
        rows += [
            figures(f"slice {name}", answers(model, part), wanted.rounds)
            for name, part in slices.made(looked).items()
        ]
    return rows


def _some(
    given: Answers, masks: dict[str, np.ndarray[tuple[int], np.dtype[np.bool_]]], wanted: Wanted
) -> list[Figures]:
    return [figures(name, given[mask], wanted.rounds) for name, mask in masks.items() if mask.any()]


def rival(model: MaskClassifier, path: Path) -> Interpreter:
    """Return the .tflite file at `path`, loaded.

    Raises:
        ModelError: it cannot be.
        DataError: it takes or gives something else than the model.
    """
    other = Interpreter.from_file(path)
    size, labels = model.manifest.input.size, len(model.manifest.labels)
    for what, found, expected in (
        ("input", other.input.shape, (1, size, size, 3)),
        ("output", other.output.shape, (1, labels)),
    ):
        if found != expected:
            raise DataError(f"{path}: {what} is {found}, {model.id} has {expected}")
    return other


def compare(model: MaskClassifier, name: str, other: Interpreter, photos: Sequence[Photo]) -> Comparison:
    """Return `other` (of the same input and output) against the model, image by image."""
    crops = crops_of(photos, model.manifest.preprocess)
    truth = np.array([p.label for p in photos])
    mine = model.logits(crops)[:, :2].argmax(axis=1)
    theirs = model.calibrated(other.run(np.stack(crops)))[:, :2].argmax(axis=1)
    two = truth < 2
    right, other_right = int((mine == truth)[two].sum()), int((theirs == truth)[two].sum())
    count = max(1, int(two.sum()))
    return Comparison(
        name, int(two.sum()), right / count, other_right / count,
        other_right - right,
        tuple(p.name for p, a, b in zip(photos, mine, theirs, strict=True) if a != b and p.label < 2),
    )  # fmt: skip


def _triple(value: tuple[float, float, float]) -> str:
    return f"{value[0]:.4f} [{value[1]:.4f}, {value[2]:.4f}]"


def as_text(done: Evaluation) -> str:
    """Return the evaluation as a table for people."""
    lines = [f"model {done.model}, {done.date}, {done.machine}", ""]
    head = f"{'set':26}{'faces':>6}  {'accuracy (95 %)':26}{'balanced (95 %)':26}"
    lines.append(f"{head}{'masked':>8}{'bare':>8}{'ECE':>8}")
    for row in done.sets:
        recalls = "".join(f"{c.recall:8.4f}" if c.support else f"{'-':>8}" for c in row.classes)
        lines.append(
            f"{row.name:26}{row.faces:6}  {_triple(row.accuracy):26}{_triple(row.balanced):26}{recalls}"
            f"{row.calibration:8.4f}"
        )
    for row in done.sets:
        if row.incorrect is not None:
            recall, false, count = row.incorrect
            lines.append(
                f"{row.name}: worn incorrectly: recall {recall:.3f} of {count}; "
                f"{100 * false:.2f} % of worn masks are called so"
            )
    lines += _class_lines(done.sets[0]) if done.sets else []
    lines += _path_lines(done.path) if done.path else []
    if done.comparison:
        c = done.comparison
        lines.append(
            f"\nagainst {c.other}: {c.accuracy:.4f} to {c.other_accuracy:.4f} on {c.images} images; "
            f"{c.worse_images:+d} images lost; answers differ on {len(c.disagree)}"
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
    lines.append(f"{'height':12}{'masked':>16}{'bare':>16}{'judged right':>18}")
    for b in path.bands:
        masked, bare = _of(b.masked_found, b.masked), _of(b.bare_found, b.bare)
        lines.append(f"{b.band:12}{masked:>16}{bare:>16}{_of(b.judged_right, b.judged):>18}")
    return [
        *lines,
        f"no mask, 24 px and more: precision {_triple(path.precision)}, recall {_triple(path.recall)}",
        (
            f"  without the gate: precision {_triple(path.ungated_precision)}, "
            f"recall {_triple(path.ungated_recall)}"
        ),
        f"  {path.strangers} detections match no box; kept back by the gate: "
        + (", ".join(f"{name} {n}" for name, n in path.gated.items()) or "none"),
    ]


def _of(part: int, whole: int) -> str:
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
    """Write the figures of `done`, measured on `on`, into the manifest; older ones of that set go."""
    own = [f for f in manifest.metrics if f.on != on and not f.on.startswith(f"{on}: ")]
    write_manifest(path, msgspec.structs.replace(manifest, metrics=(*own, *_recorded(done, on))))


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
    return [row for row in rows if not np.isnan(row.value)]  # of what there was none, nothing is known


def today() -> str:
    """Return today's date (UTC), as it stands beside a figure."""
    return datetime.now(UTC).date().isoformat()


def merged(parts: Sequence[Dataset]) -> Dataset:
    """Return all `parts` as one."""
    whole = Dataset(())
    for part in parts:
        whole += part
    return whole
