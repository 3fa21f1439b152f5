"""Draws the evidence of each track over time as an SVG file, without any plotting library."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from maskwatch.worker.explain import Explanation, History

__all__ = ["evidence_svg"]

_WIDTH, _HEIGHT, _GAP = 720, 150, 36
_LEFT, _RIGHT = 50, 20


def evidence_svg(explanation: Explanation) -> str:
    """Return an SVG document: one panel for each track, with the limits as dashed lines."""
    histories = [h for _, h in sorted(explanation.histories.items()) if h.points]
    total = max(1, len(histories)) * (_HEIGHT + _GAP)
    panels = "".join(
        _panel(history, explanation.limits, index * (_HEIGHT + _GAP) + _GAP)
        for index, history in enumerate(histories)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{total + _GAP}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n'
        f"{panels}</svg>\n"
    )


def _panel(history: History, limits: tuple[float, float], top: float) -> str:
    axes = _Axes(history, limits, top)
    return "".join(f"{line}\n" for line in _drawn(history, limits, axes))


def _drawn(history: History, limits: tuple[float, float], axes: _Axes) -> Iterator[str]:
    title = f"person {history.number}: {history.last.verdict.value.replace('_', ' ')}"
    yield f'<text x="{_LEFT}" y="{axes.top - 8}" font-weight="bold">{escape(title)}</text>'
    for value, name in ((limits[0], "no mask"), (0.0, ""), (limits[1], "mask")):
        y = axes.y(value)
        dash = ' stroke-dasharray="4 3"' if name else ""
        yield (
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}" stroke="#999999"{dash}/>'
            f'<text x="4" y="{y + 4}">{value:+.1f}</text>'
        )
    yield f'<polyline fill="none" stroke="#0072b2" stroke-width="2" points="{axes.path()}"/>'
    for moment, change in history.violations:
        x = axes.x(moment)
        yield (
            f'<line x1="{x}" x2="{x}" y1="{axes.top}" y2="{axes.top + _HEIGHT}" stroke="#d55e00"/>'
            f'<text x="{x + 2}" y="{axes.top + 10}" fill="#d55e00">{escape(change.kind.value)}</text>'
        )


class _Axes:
    """From seconds and nats to pixels of one panel."""

    def __init__(self, history: History, limits: tuple[float, float], top: float) -> None:
        self.top = top
        self._points = history.points
        values: Iterable[float] = [value for _, value in history.points]
        self._low, self._high = min(*values, limits[1]) - 1, max(*values, limits[0]) + 1
        self._begin = history.begun
        self._span = max(history.ended - history.begun, 0.1)

    def x(self, moment: float) -> float:
        share = (moment - self._begin) / self._span
        return round(_LEFT + min(max(share, 0.0), 1.0) * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        return round(self.top + (self._high - value) / (self._high - self._low) * _HEIGHT, 1)

    def path(self) -> str:
        return " ".join(f"{self.x(moment)},{self.y(value)}" for moment, value in self._points)
