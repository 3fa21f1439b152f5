"""Draws a Grafana dashboard's panels from a real Prometheus, for the documentation.

    python -m tools.draw_dashboard http://127.0.0.1:9090 docs/images/dashboard.png --minutes 10

It reads the dashboard's JSON: each panel's queries go to Prometheus as Grafana would send them, and the
results are drawn at the panel's position. `tools/dashboard_picture.py` makes the series.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.dates as mdates
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import FuncFormatter, MaxNLocator

ROOT = Path(__file__).resolve().parents[1]
BOARD = ROOT / "deploy/grafana/dashboards/maskwatch-fleet.json"
_BACKGROUND, _CARD, _EDGE, _TEXT, _FAINT = "#111217", "#1b1d22", "#2c2f36", "#d5d6dc", "#8e9099"
_COLOURS = ("#73bf69", "#5794f2", "#f2cc0c", "#ff9830", "#b877d9", "#56b4bf", "#f2495c", "#c0d8ff")
_STATES = {
    "live": "#73bf69", "blind": "#b877d9", "connecting": "#5794f2", "stalled": "#f2cc0c",
    "backoff": "#ff9830", "quarantined": "#f2495c", "disabled": "#6e7079",
}  # fmt: skip
_UNIT = 0.32  # inches of one row of Grafana's grid
_COLUMN = 0.6  # inches of one of its 24 columns
_GAP = 0.09


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its legend, labels, and (Unix time, value)."""

    legend: str
    labels: dict[str, str]
    points: tuple[tuple[float, float], ...]


Query = Callable[[str], list[dict[str, Any]]]


def fetch(url: str, begin: float, end: float, step: float) -> Query:
    """Return a function that sends range queries to a Prometheus."""

    def ask(expr: str) -> list[dict[str, Any]]:
        query = {"query": expr, "start": begin, "end": end, "step": step}
        address = f"{url}/api/v1/query_range?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 - an operator's own
            found: list[dict[str, Any]] = json.loads(answer.read())["data"]["result"]
        return found

    return ask


def draw(board: dict[str, Any], rows: Sequence[str], ask: Query, span: tuple[float, float]) -> Figure:
    """Return the figure of these rows of a dashboard between two Unix times."""
    panels = list(_chosen(board, rows))
    top = min(panel["gridPos"]["y"] for panel in panels)
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels)
    size = (24 * _COLUMN, (bottom - top) * _UNIT + 0.5)
    figure = Figure(figsize=size, facecolor=_BACKGROUND)
    _heading(figure, size, str(board["title"]), span)
    for panel in panels:
        _panel(figure, size, top, panel, ask, span)
    return figure


def _chosen(board: dict[str, Any], rows: Sequence[str]) -> Iterator[dict[str, Any]]:
    row = ""
    for panel in board["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
        if row in rows:
            yield panel


def _heading(figure: Figure, size: tuple[float, float], title: str, span: tuple[float, float]) -> None:
    y = 1 - 0.25 / size[1]
    begin, end = (datetime.fromtimestamp(each, UTC) for each in span)
    figure.text(0.008, y, title, color=_TEXT, size=13, weight="bold", va="center")
    when = f"{begin:%Y-%m-%d %H:%M} to {end:%H:%M} UTC"
    figure.text(0.992, y, when, color=_FAINT, size=10, va="center", ha="right")


def _panel(
    figure: Figure,
    size: tuple[float, float],
    top: int,
    panel: dict[str, Any],
    ask: Query,
    span: tuple[float, float],
) -> None:
    at = panel["gridPos"]
    width, height = at["w"] * _COLUMN - _GAP, at["h"] * _UNIT - _GAP
    x, y = at["x"] * _COLUMN + _GAP / 2, size[1] - 0.5 - (at["y"] - top) * _UNIT - height
    if panel["type"] == "row":
        figure.text(
            x / size[0] + 0.004, (y + height / 2) / size[1], panel["title"], color=_TEXT, size=11
        )
        return
    _card(figure, (x / size[0], y / size[1], width / size[0], height / size[1]))
    head = (y + height - 0.17) / size[1]
    figure.text((x + 0.12) / size[0], head, panel["title"], color=_TEXT, size=9.5, va="center")
    series = [each for target in panel["targets"] for each in _series(target, ask)]
    match panel["type"]:
        case "stat":
            newest = sum(each.points[-1][1] for each in series)
            middle = ((x + width / 2) / size[0], (y + height * 0.42) / size[1])
            colour = _STATES["live"] if "not" not in panel["title"] or not newest else _STATES["backoff"]
            figure.text(*middle, f"{newest:g}", color=colour, size=34, ha="center", va="center")
        case "timeseries" | "state-timeline" as kind:
            inside = (x + 0.55, y + 0.62, width - 0.75, height - 1.0)
            if kind == "state-timeline":
                inside = (x + 1.1, y + 0.36, width - 1.3, height - 0.72)
            box = (inside[0] / size[0], inside[1] / size[1], inside[2] / size[0], inside[3] / size[1])
            axes = figure.add_axes(box, facecolor=_CARD)
            _dress(axes, span)
            if kind == "state-timeline":
                _bars(axes, series)
            else:
                _lines(axes, series, _unit(panel), (x + 0.5) / size[0], (y + 0.14) / size[1])
        case kind:
            raise ValueError(f"{panel['title']}: a {kind} cannot be drawn here")


def _card(figure: Figure, box: tuple[float, float, float, float]) -> None:
    x, y, width, height = box
    card = FancyBboxPatch(
        (x, y), width, height, boxstyle="square,pad=0", facecolor=_CARD, edgecolor=_EDGE, linewidth=0.8,
        transform=figure.transFigure, zorder=-1,
    )  # fmt: skip
    figure.patches.append(card)


def _series(target: dict[str, Any], ask: Query) -> Iterator[Series]:
    expr = re.sub(r"\$(instance|camera|sink)\b", ".*", target["expr"])
    for row in ask(expr.replace("$__rate_interval", "1m")):
        points = tuple((float(at), float(value)) for at, value in row["values"])
        yield Series(_legend(target.get("legendFormat", ""), row["metric"]), row["metric"], points)


def _legend(text: str, labels: dict[str, str]) -> str:
    return " ".join(re.sub(r"\{\{(\w+)\}\}", lambda m: labels.get(m[1], ""), text).split())


def _unit(panel: dict[str, Any]) -> str:
    return str(panel.get("fieldConfig", {}).get("defaults", {}).get("unit", "short"))


def _dress(axes: Axes, span: tuple[float, float]) -> None:
    axes.set_xlim(*(mdates.date2num(datetime.fromtimestamp(each, UTC)) for each in span))
    axes.xaxis.set_major_formatter(mdates.DateFormatter("%H:%M"))
    axes.xaxis.set_major_locator(mdates.AutoDateLocator(minticks=4, maxticks=9))
    axes.tick_params(colors=_FAINT, labelsize=8, length=0)
    axes.grid(color=_EDGE, linewidth=0.6)
    for side in axes.spines.values():
        side.set_visible(False)


def _lines(axes: Axes, series: Sequence[Series], unit: str, left: float, below: float) -> None:
    moving = [each for each in series if any(value for _, value in each.points)]
    for number, each in enumerate(series):
        if each not in (moving or series[:3]):
            continue  # a line along the bottom; the others keep their colours
        moments = [datetime.fromtimestamp(at, UTC) for at, _ in each.points]
        values = [value for _, value in each.points]
        colour = _COLOURS[number % len(_COLOURS)]
        axes.plot(moments, values, color=colour, linewidth=1.4, label=each.legend or "value")
        axes.fill_between(moments, values, color=colour, alpha=0.08)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _spelled(value, unit)))
    axes.legend(
        loc="lower left", bbox_to_anchor=(left, below), bbox_transform=axes.figure.transFigure,
        ncols=5, frameon=False, fontsize=8, labelcolor=_TEXT, handlelength=1.0, columnspacing=1.2,
        borderaxespad=0,
    )  # fmt: skip


def _bars(axes: Axes, series: Sequence[Series]) -> None:
    """Draw each camera's states over time, one above the other."""
    cameras = sorted({each.labels["camera"] for each in series}, reverse=True)
    labelled: set[str] = set()
    for each in series:
        state = each.labels["state"]
        y = cameras.index(each.labels["camera"])
        moments = [mdates.date2num(datetime.fromtimestamp(at, UTC)) for at, _ in each.points]
        step = min((b - a for a, b in itertools.pairwise(moments)), default=1e-4)
        bars = [(moment, step * 1.02) for moment in moments]
        label = state if state not in labelled else None
        axes.broken_barh(bars, (y - 0.4, 0.8), facecolors=_STATES[state], label=label)
        labelled.add(state)
    axes.set_yticks(range(len(cameras)), cameras, color=_TEXT, size=9)
    axes.set_ylim(-0.6, len(cameras) - 0.4)
    axes.grid(visible=False)
    axes.legend(
        loc="lower right", bbox_to_anchor=(1, 1.0), ncols=7, frameon=False, fontsize=8, labelcolor=_TEXT,
        handlelength=0.9, columnspacing=1.2,
    )  # fmt: skip


def _spelled(value: float, unit: str) -> str:
    if unit == "bytes":
        return f"{value / (1 << 20):g} MiB" if value else "0"
    return f"{value:g} s" if unit == "s" else f"{value:g}"


def draw_board(
    board: Path, rows: Sequence[str], url: str, span: tuple[float, float], target: Path
) -> None:
    """Write the picture of a dashboard between two Unix times."""
    ask = fetch(url, *span, step=max(1.0, (span[1] - span[0]) / 300))
    figure = draw(json.loads(board.read_text("utf-8")), rows, ask, span)
    figure.savefig(target, dpi=80, facecolor=_BACKGROUND)


def main() -> None:
    """Draw what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("url", help="of a Prometheus that has scraped maskwatch")
    parser.add_argument("target", type=Path, help="the PNG")
    parser.add_argument("--board", type=Path, default=BOARD)
    parser.add_argument("--rows", nargs="+", default=["Now", "Cameras"])
    parser.add_argument("--minutes", type=float, default=10.0)
    options = parser.parse_args()
    end = time.time()
    span = (end - 60 * options.minutes, end)
    draw_board(options.board, options.rows, options.url, span, options.target)


if __name__ == "__main__":
    main()
