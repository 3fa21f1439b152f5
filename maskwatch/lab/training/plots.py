"""The plots of a report as PNG: learning curves, confusion matrix, reliability diagram."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from maskwatch.lab.training.history import Epoch


def _save(figure: Figure, path: Path) -> None:
    FigureCanvasAgg(figure)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def plot_history(history: Sequence[Epoch], path: Path) -> None:
    """Draw training and validation loss and accuracy per epoch."""
    figure = Figure(figsize=(9, 4))
    epochs = [epoch.epoch for epoch in history]
    for column, name in enumerate(("loss", "accuracy"), start=1):
        axes = figure.add_subplot(1, 2, column)
        axes.plot(epochs, [getattr(e, name) for e in history], "o-", label=f"train (augmented) {name}")
        axes.plot(epochs, [getattr(e, f"val_{name}") for e in history], "o-", label=f"validation {name}")
        axes.set_xlabel("epoch")
        axes.set_ylabel(name)
        axes.legend()
    _save(figure, path)


def plot_confusion(
    matrix: Sequence[Sequence[int]], labels: Sequence[str], title: str, path: Path
) -> None:
    """Draw counts: a row per true class, a column per predicted one."""
    counts = np.array(matrix)
    figure = Figure(figsize=(4.8, 4.2))
    axes = figure.add_subplot()
    axes.imshow(counts / np.maximum(1, counts.sum(axis=1, keepdims=True)), cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        dark = count > 0.5 * counts[row].sum()
        axes.text(column, row, str(count), ha="center", va="center", color="white" if dark else "black")
    axes.set_xticks(range(len(labels)), labels, rotation=20, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(title)
    _save(figure, path)


def plot_reliability(bins: Sequence[tuple[float, float]], error: float, title: str, path: Path) -> None:
    """Draw (confidence, accuracy) of equal-mass bins against the diagonal."""
    figure = Figure(figsize=(4.8, 4.4))
    axes = figure.add_subplot()
    axes.plot([0.5, 1], [0.5, 1], "--", color="grey", label="perfect")
    axes.plot([b[0] for b in bins], [b[1] for b in bins], "o-", label=f"ECE {error:.4f}")
    axes.set_xlabel("confidence")
    axes.set_ylabel("accuracy")
    axes.set_title(title)
    axes.legend()
    _save(figure, path)
