"""Draws the figures of an event evaluation as an SVG file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from maskwatch.lab.evaluation.intervals import Estimate
from maskwatch.lab.evaluation.report import EventFigures, KindFigures

_WIDTH, _ROW, _TOP = 760, 15, 172
_NAMES, _BARS = 150, 520
_BLUE, _ORANGE, _GREY = "#0072b2", "#d55e00", "#999999"
_MAX_DELAY = 4.0  # s
_BOLD = ' font-weight="bold"'


def events_svg(figures: EventFigures) -> str:
    """Return an SVG document: the required figures, the delays, and each kind of scene."""
    height = _TOP + _ROW * (len(figures.kinds) + 2)
    body = [*_shares(figures), *_delays(figures), *_kinds(figures.kinds)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="11">\n<rect width="100%" height="100%" fill="white"/>\n'
        + "\n".join(body)
        + "\n</svg>\n"
    )


def _text(x: float, y: float, text: str, attributes: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{text}</text>'


def _line(ends: tuple[float, float, float, float], colour: str, width: float = 1.0) -> str:
    x1, y1, x2, y2 = ends
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="{colour}" stroke-width="{width:g}"/>'
    )


def _shares(f: EventFigures) -> Iterator[str]:
    """Yield recall and precision, each with its interval and marks at 0.95 and 0.99."""
    yield _text(8, 18, "Recall and precision (95 % interval; grey: required, and aim)", _BOLD)
    for row, (name, value) in enumerate((("recall", f.recall), ("precision", f.precision))):
        y = 42 + 26 * row
        yield _text(8, y + 4, name)
        for mark in (0.95, 0.99):
            yield _line((_share_x(mark), y - 9, _share_x(mark), y + 9), _GREY)
        yield from _interval(value, y)


def _interval(value: Estimate, y: float) -> Iterator[str]:
    if value.value is None or value.low is None or value.high is None:
        return
    yield _line((_share_x(value.low), y, _share_x(value.high), y), _BLUE, 2)
    x = _share_x(value.value)
    yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{_BLUE}"/>'
    yield _text(320, y + 4, value.text())


def _share_x(share: float) -> float:
    """Return the x coordinate of a share, clipped to 0.9 to 1."""
    return 80 + (min(max(share, 0.9), 1.0) - 0.9) / 0.1 * 230


def _delays(f: EventFigures) -> Iterator[str]:
    """Yield the cumulative share of alerts by their delay, as a step line."""
    values = sorted(
        alert.delay
        for result in f.judged
        for alert in result.outcome.alerts
        if alert.required and alert.delay is not None
    )
    yield _text(8, 100, "Alerts by seconds from the first judgeable face", _BOLD)
    yield _line((_delay_x(0), 150, _delay_x(_MAX_DELAY), 150), _GREY)
    for second in (0.0, 0.6, 1.2, 2.0, 3.0, 4.0):
        yield _line((_delay_x(second), 110, _delay_x(second), 150), "#dddddd")
        yield _text(_delay_x(second) - 8, 163, f"{second:g} s")
    steps = " ".join(_step_points(values))
    if steps:
        yield f'<polyline fill="none" stroke="{_BLUE}" stroke-width="2" points="{steps}"/>'


def _step_points(values: Sequence[float]) -> Iterator[str]:
    for number, value in enumerate(values):
        x = _delay_x(min(value, _MAX_DELAY))
        yield f"{x:.1f},{150 - 40 * number / len(values):.1f}"
        yield f"{x:.1f},{150 - 40 * (number + 1) / len(values):.1f}"


def _delay_x(seconds: float) -> float:
    return 80 + seconds / _MAX_DELAY * 600


def _kinds(kinds: Sequence[KindFigures]) -> Iterator[str]:
    """Yield a bar for each kind: required events found and missed, and false alarms after them."""
    yield _text(8, _TOP + 12, "Each kind of scene: found (blue), missed or false (orange)", _BOLD)
    longest = max((k.required + k.false_alarms for k in kinds), default=1) or 1
    for row, kind in enumerate(kinds, 1):
        y = _TOP + _ROW * row + 8
        yield _text(8, y + 9, kind.kind)
        parts = (
            (kind.found, _BLUE),
            (kind.required - kind.found, _ORANGE),
            (kind.false_alarms, _ORANGE),
        )
        x = float(_NAMES)
        for count, colour in parts:
            width = count / longest * _BARS
            if count:
                yield f'<rect x="{x:.1f}" y="{y}" width="{width - 1:.1f}" height="10" fill="{colour}"/>'
            x += width
        yield _text(x + 4, y + 9, f"{kind.found} of {kind.required}")
