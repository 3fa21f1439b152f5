"""Draws what watching a camera costs, by maskwatch and by other pipelines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from maskwatch.errors import UsageError

_ROW, _WIDTH = 0.16, 9.0  # inches
_TYPES = (".png", ".svg")


def check_plot(path: Path) -> None:
    """Raise UsageError if no picture can be written at this path."""
    if path.suffix not in _TYPES:
        raise UsageError(f"{path}: expected a name that ends in {' or '.join(_TYPES)}")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path}: there is no folder {path.absolute().parent}")


def draw_ratios(path: Path, title: str, ratios: Mapping[str, Mapping[str, float]]) -> None:
    """Draw the `ratios` to decoding of each workload's pipelines, on a logarithmic axis."""
    names = list(dict.fromkeys(name for row in ratios.values() for name in row))
    step = len(names) + 1
    figure = Figure(figsize=(_WIDTH, 1.4 + _ROW * step * len(ratios)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for place, name in enumerate(names):
        rows = [number * step + place for number in range(len(ratios))]
        values = [row.get(name, 0.0) for row in ratios.values()]
        bars = axes.barh(rows, values, height=0.9, label=name)
        axes.bar_label(bars, fmt="%.1f", fontsize=7, padding=2)
    axes.set_yticks(
        [number * step + (len(names) - 1) / 2 for number in range(len(ratios))], list(ratios)
    )
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.set_xlabel("processor time over decoding alone (1: decoding)")
    axes.set_title(title, fontsize=9)
    axes.legend(fontsize=8)
    figure.savefig(path)
