"""Explains for each track of a replay why it was, or was not, a violation; and plots its evidence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import escape
from uuid import UUID

from maskwatch.analysis.evidence import EvidenceLimits
from maskwatch.analysis.own_motion import Liveness
from maskwatch.analysis.policy import Policy
from maskwatch.analysis.results import TrackView
from maskwatch.config.schema import CameraConfig
from maskwatch.domain import Change, GateReason, Verdict
from maskwatch.replay.replay import ReplayStep

_BARS = "▁▂▃▄▅▆▇█"
_BARS_SHOWN = 60


@dataclass(slots=True)
class TrackHistory:
    """One track over a replay.

    Attributes:
        number: the track's.
        first_moment, last_moment: seconds of the first and of the latest match.
        last: the latest view.
        alive_since: seconds at which motion of its own was shown; None before.
        points: (seconds of the file, evidence of no mask over mask in nats) at each vote.
        gates: why faces were not classified.
        heights: minimum and maximum height of the face in pixels.
        obstacles: what kept a violation from opening while the verdict was one to report, with seconds.
        violations: (seconds, change) of its violations.
    """

    number: int
    first_moment: float
    last: TrackView
    last_moment: float = 0.0
    alive_since: float | None = None
    points: list[tuple[float, float]] = field(default_factory=list)
    gates: Counter[GateReason] = field(default_factory=Counter)
    heights: tuple[float, float] = (0.0, 0.0)
    obstacles: dict[str, float] = field(default_factory=dict)
    violations: list[tuple[float, Change]] = field(default_factory=list)


class Explanation:
    """Collects the steps of a replay and explains each track."""

    def __init__(self, camera: CameraConfig) -> None:
        self._limits = EvidenceLimits(camera.decision)
        self._policy = Policy(camera.decision)
        self.histories: dict[int, TrackHistory] = {}

    @property
    def limits(self) -> tuple[float, float]:
        """The evidence at which "no mask" and "mask" are decided, in nats (the latter negative)."""
        upper = self._limits.acceptance(Verdict.NO_MASK, Verdict.MASK)
        return upper, -self._limits.acceptance(Verdict.MASK, Verdict.NO_MASK)

    def add(self, step: ReplayStep) -> None:
        for view in step.result.tracks:
            self._follow(view, step.moment)
        for change, _ in step.result.changes:
            history = self.histories.get(change.violation.track)
            if history is not None:
                history.violations.append((step.moment, change))

    def lines(self) -> Iterator[str]:
        """Yield the lines of the text, a paragraph for each track."""
        for number in sorted(self.histories):
            yield from self._paragraph(self.histories[number])

    def _follow(self, view: TrackView, moment: float) -> None:
        history = self.histories.setdefault(view.number, TrackHistory(view.number, moment, view))
        history.last = view
        if not view.detected:
            return
        history.last_moment = moment
        low, high = history.heights if history.heights[1] else (view.box.height,) * 2
        history.heights = (min(low, view.box.height), max(high, view.box.height))
        if view.liveness is Liveness.ALIVE and history.alive_since is None:
            history.alive_since = moment
        if view.reading is not None and view.reading.logits is not None:
            history.points.append((moment, view.evidence))
        elif view.reading is not None and view.reading.gate is not None:
            history.gates[view.reading.gate] += 1
        if self._policy.is_violation(view.verdict) and view.violation is None and view.obstacle:
            history.obstacles.setdefault(view.obstacle, moment)

    def _paragraph(self, history: TrackHistory) -> Iterator[str]:
        verdict = history.last.verdict.value.replace("_", " ")
        yield (
            f"person {history.number}: {history.first_moment:.2f} s to {history.last_moment:.2f} s, "
            f"zone {history.last.zone or '-'}, verdict {verdict}"
        )
        low, high = history.heights
        yield f"  face      {low:.0f} to {high:.0f} px high; {_liveness(history)}"
        yield f"  readings  {len(history.points)} classified; not judged: {_gates(history.gates)}"
        upper, lower = self.limits
        yield f"  evidence  {_curve(history.points)} (no mask from {upper:+.1f}, mask from {lower:+.1f})"
        for text in _reports(history):
            yield f"  reported  {text}"
        for obstacle, moment in history.obstacles.items():
            yield f"  held      from {moment:.2f} s: {obstacle}"
        if not history.violations:
            yield f"  why       not reported: {self._reason(history)}"

    def _reason(self, history: TrackHistory) -> str:
        verdict, upper = history.last.verdict, self.limits[0]
        if self._policy.is_violation(verdict):
            return "; ".join(history.obstacles) or "it ended before a violation could open"
        if verdict is not Verdict.UNKNOWN:
            return f"the verdict is {verdict.value.replace('_', ' ')}"
        if not history.points:
            return "no face of this track was fit to be judged"
        return f"the evidence came to {history.points[-1][1]:+.1f} of the {upper:+.1f} nats it takes"


def _liveness(history: TrackHistory) -> str:
    if history.alive_since is not None:
        return f"motion of its own since {history.alive_since:.2f} s"
    return "no motion of its own (a poster?)"


def _gates(gates: Counter[GateReason]) -> str:
    return ", ".join(f"{count} {reason.value}" for reason, count in gates.most_common()) or "none"


def _reports(history: TrackHistory) -> Iterator[str]:
    by_id: dict[UUID, list[tuple[float, Change]]] = {}
    for moment, change in history.violations:
        by_id.setdefault(change.violation.id, []).append((moment, change))
    for violation, changes in by_id.items():
        steps = ", ".join(f"{change.kind.value} {moment:.2f} s" for moment, change in changes)
        last = changes[-1][1].violation
        reason = f" ({last.close_reason.value})" if last.close_reason else ""
        yield f"{last.verdict.value.replace('_', ' ')}: {steps}{reason}, violation {violation}"


def _curve(points: list[tuple[float, float]]) -> str:
    if not points:
        return "none"
    values = [value for _, value in points]
    low, high = min(*values, 0.0), max(*values, 0.0)
    step = max(1, -(-len(values) // _BARS_SHOWN))
    return f"{_bars(values[::step], low, high)} {values[0]:+.1f} to {values[-1]:+.1f} nats"


def _bars(values: Iterable[float], low: float, high: float) -> str:
    span = (high - low) or 1.0
    return "".join(_BARS[round((value - low) / span * (len(_BARS) - 1))] for value in values)


# --- the plot --------------------------------------------------------------------------------------

_WIDTH, _HEIGHT, _GAP = 720, 150, 36
_LEFT, _RIGHT = 50, 20


def evidence_svg(explanation: Explanation) -> str:
    """Return an SVG document: one panel for each track, with the limits as dashed lines."""
    histories = [h for _, h in sorted(explanation.histories.items()) if h.points]
    total = max(1, len(histories)) * (_HEIGHT + _GAP)
    panels = "".join(
        f"{line}\n"
        for index, history in enumerate(histories)
        for line in _panel(history, explanation.limits, index * (_HEIGHT + _GAP) + _GAP)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{total + _GAP}" '
        f'font-family="sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="white"/>\n'
        f"{panels}</svg>\n"
    )


def _panel(history: TrackHistory, limits: tuple[float, float], top: float) -> Iterator[str]:
    axes = _Axes(history, limits, top)
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

    def __init__(self, history: TrackHistory, limits: tuple[float, float], top: float) -> None:
        self.top = top
        self._points = history.points
        values: Iterable[float] = [value for _, value in history.points]
        self._low, self._high = min(*values, limits[1]) - 1, max(*values, limits[0]) + 1
        self._begin = history.first_moment
        self._span = max(history.last_moment - history.first_moment, 0.1)

    def x(self, moment: float) -> float:
        share = (moment - self._begin) / self._span
        return round(_LEFT + min(max(share, 0.0), 1.0) * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(self, value: float) -> float:
        return round(self.top + (self._high - value) / (self._high - self._low) * _HEIGHT, 1)

    def path(self) -> str:
        return " ".join(f"{self.x(moment)},{self.y(value)}" for moment, value in self._points)
