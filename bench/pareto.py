"""Compares accuracy and time per face of trained models, and finds their Pareto front.

    python -m bench.pareto --scenes ../shared/data/scenes/annotations.json runs/sweep-*/sweep-*.json

Accuracy is balanced over mask and no mask, of the int8 model, on boxed faces of 16 px and more that
none of the models has seen (train them with `--hold-out`). It is taken at each model's best offset of
"no mask", so that the choice of a threshold does not matter; the area under the ROC curve is shown
too. Time is that of one face through the int8 model on one core, compared with the paper's float Keras
model in the same run.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bench.classify import milliseconds, paper, pin
from maskwatch.lab.machine import machine
from maskwatch.lab.training.dataset import Photo, load_scenes
from maskwatch.lab.training.measure import crops_of
from maskwatch.vision.masks import MaskClassifier

MIN_HEIGHT = 16.0  # px
OFFSETS = np.arange(-2.0, 4.01, 0.25)


@dataclass(frozen=True, slots=True)
class Point:
    """One model's time per face, balanced accuracy and area under the ROC curve."""

    name: str
    milliseconds: float
    balanced: float
    area: float


def area_under_roc(margin: npt.NDArray[np.float64], bare: npt.NDArray[np.bool_]) -> float:
    """Return the share of (bare, masked) pairs that `margin` puts in order (Mann and Whitney 1947)."""
    ranks = np.empty(len(margin))
    ranks[np.argsort(margin, kind="stable")] = np.arange(1, len(margin) + 1)
    few, many = int(bare.sum()), int((~bare).sum())
    return float((ranks[bare].sum() - few * (few + 1) / 2) / (few * many))


def best_balanced(margin: npt.NDArray[np.float64], bare: npt.NDArray[np.bool_]) -> float:
    """Return the balanced accuracy at the best of `OFFSETS`."""
    predicted = margin[None] + OFFSETS[:, None] > 0
    sensitivity, specificity = predicted[:, bare].mean(axis=1), (~predicted[:, ~bare]).mean(axis=1)
    return float(((sensitivity + specificity) / 2).max())


def measure(path: Path, photos: list[Photo]) -> Point:
    """Return the point of the model whose manifest is at `path`."""
    model = MaskClassifier(path)
    crops = crops_of(photos, model.manifest.preprocess)
    logits = np.asarray(model.logits(crops), np.float64)
    bare = np.array([photo.label == 1 for photo in photos])
    margin = logits[:, 1] - logits[:, 0]
    cost = milliseconds(lambda: model.logits(crops[:1]))
    return Point(
        f"{path.parent.name} ({model.manifest.description})",
        cost,
        best_balanced(margin, bare),
        area_under_roc(margin, bare),
    )


def front(points: list[Point]) -> set[str]:
    """Return the names of the points that no faster one equals or beats."""
    best, names = 0.0, set()
    for point in sorted(points, key=lambda p: (p.milliseconds, -p.balanced)):
        if point.balanced > best:
            best = point.balanced
            names.add(point.name)
    return names


def draw(points: list[Point], path: Path) -> None:
    """Draw accuracy over time, with the front as a line."""
    import matplotlib as mpl  # noqa: PLC0415 - the import takes half a second

    mpl.use("svg")
    from matplotlib import pyplot as plt  # noqa: PLC0415

    figure, axes = plt.subplots(figsize=(8, 5), layout="constrained")
    ordered = sorted(points, key=lambda point: point.milliseconds)
    leading = [point for point in ordered if point.name in front(points)]
    axes.plot([p.milliseconds for p in leading], [p.balanced for p in leading], color="tab:green")
    for number, point in enumerate(ordered, 1):
        name = f"{number}  {point.name.split(' (')[0]}"
        axes.plot(point.milliseconds, point.balanced, "o", color="tab:blue", label=name)
        at = (point.milliseconds, point.balanced)
        axes.annotate(str(number), at, xytext=(6, -4), textcoords="offset points")
    axes.legend(loc="lower right", handlelength=0, markerscale=0)
    axes.set(
        xlabel="milliseconds per face, int8, one core",
        ylabel="balanced accuracy, a source never trained on",
    )
    axes.grid(visible=True, which="both", alpha=0.3)
    figure.savefig(path)


def main() -> None:
    """Print the table, and draw it with `--picture`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("models", nargs="+", type=Path, help="manifests")
    parser.add_argument("--scenes", required=True, type=Path, help="annotations of the unseen source")
    parser.add_argument("--picture", type=Path, help="write the plot to this .svg")
    options = parser.parse_args()
    pin()
    photos = [p for p in load_scenes(options.scenes).photos if p.height >= MIN_HEIGHT and p.label < 2]
    print(f"{machine()}, one core, {time.strftime('%Y-%m-%d')}; {len(photos)} faces")
    points = [measure(path, photos) for path in options.models]
    theirs, leading = paper(), front(points)
    for point in sorted(points, key=lambda p: p.milliseconds):
        ratios = " / ".join(f"{slow / point.milliseconds:.1f}" for slow in theirs.values())
        mark = "front" if point.name in leading else ""
        print(
            f"{point.name:60} {point.milliseconds:6.2f} ms  {ratios:>12} times  "
            f"balanced {point.balanced:.4f}  area {point.area:.4f}  {mark}"
        )
    if options.picture:
        draw(points, options.picture)


if __name__ == "__main__":
    main()
