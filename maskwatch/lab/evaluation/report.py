"""The figures of an event evaluation, summed over its clips."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from maskwatch.config.schema import DecisionConfig
from maskwatch.domain import Verdict
from maskwatch.lab.evaluation.events import ClipOutcome
from maskwatch.lab.evaluation.intervals import Estimate, median, rate_per_hour, ratio, share
from maskwatch.lab.evaluation.results import ClipResult
from maskwatch.lab.evaluation.run import RATE

__all__ = ["ErrorRates", "EventFigures", "GateFigures", "KindFigures", "summarise"]


class GateFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The motion gate, on and off: required events that were missed, looks of the detector."""

    missed_on: int
    missed_off: int
    frames: int
    looked: int

    @property
    def saved(self) -> float:
        """Share of the detector's looks that the gate saves."""
        return 1 - self.looked / self.frames if self.frames else 0.0


class ErrorRates(msgspec.Struct, frozen=True, kw_only=True):
    """What was first decided about people who could be judged, beside what the operator set.

    Attributes:
        false_alarm, miss: nominal (Wald's alpha and beta).
        accused: masked people first called unmasked, of all masked ones.
        acquitted: unmasked people first called masked, of all unmasked ones.
        undecided: people about whom nothing was ever decided, of all.
    """

    false_alarm: float
    miss: float
    accused: Estimate
    acquitted: Estimate
    undecided: Estimate


class KindFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of one kind of scene; `delay` is the median in seconds."""

    kind: str
    clips: int
    visits: int
    required: int
    found: int
    duplicates: int
    false_alarms: int
    delay: float | None
    gate: GateFigures
    swaps: int
    fragments: int


class EventFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a whole run.

    Attributes:
        faces: different portraits that people in the clips have.
        recall: required events that were reported, of all required.
        precision: reported events that were expected, of all reported; duplicates stand apart.
        duplicates: duplicates per visit that was rightly reported.
        delay: seconds from the first judgeable face to the alert, median of required events, in
            clips of the evaluation's 5 frames a second and more.
        false_per_hour: false alarms per hour of footage in which nothing may be reported.
        quiet_gate: the gate over that footage.
        uncovered: faces of the truth that pictures of violations show, of all in them.
    """

    model: str
    command: str
    clips: int
    visits: int
    seconds: float
    faces: int
    recall: Estimate
    precision: Estimate
    duplicates: Estimate
    delay: Estimate
    false_per_hour: Estimate
    quiet_seconds: float
    quiet_gate: GateFigures
    gate: GateFigures
    errors: ErrorRates
    swaps: int
    fragments: int
    uncovered: Estimate
    kinds: tuple[KindFigures, ...]
    judged: tuple[ClipResult, ...]


def summarise(
    scenes: Sequence[ClipResult], quiet: Sequence[ClipResult], *, model: str, command: str
) -> EventFigures:
    """Return the figures of the scenes and of the hour without events (`quiet`)."""
    outcomes, calm = [one.outcome for one in scenes], [one.outcome for one in quiet]
    seen = [one.findings for one in (*scenes, *quiet)]
    alerts = sum(len(outcome.alerts) for outcome in outcomes)
    strange = sum(len(outcome.false_alarms) for outcome in outcomes)
    quiet_seconds = sum(outcome.seconds for outcome in calm)
    return EventFigures(
        model=model,
        command=command,
        clips=len(outcomes),
        visits=sum(outcome.visits for outcome in outcomes),
        seconds=round(sum(outcome.seconds for outcome in outcomes), 1),
        faces=len({name for outcome in outcomes for name in outcome.portraits}),
        recall=share(sum(o.found for o in outcomes), sum(o.required for o in outcomes)),
        precision=share(alerts, alerts + strange),
        duplicates=ratio([(o.duplicates, len(o.alerts)) for o in outcomes]),
        delay=median([_delays(o) for o in outcomes if o.rate >= RATE]),
        false_per_hour=rate_per_hour(sum(len(o.false_alarms) for o in calm), quiet_seconds),
        quiet_seconds=round(quiet_seconds, 1),
        quiet_gate=_gate(quiet),
        gate=_gate(scenes),
        errors=_errors(scenes),
        swaps=sum(one.swaps for one in seen),
        fragments=sum(one.fragments for one in seen),
        uncovered=share(sum(one.uncovered for one in seen), sum(one.faces for one in seen)),
        kinds=tuple(_by_kind(scenes)),
        judged=(*scenes, *quiet),
    )


def _delays(outcome: ClipOutcome) -> list[float]:
    return [a.delay for a in outcome.alerts if a.required and a.delay is not None]


def _gate(group: Sequence[ClipResult]) -> GateFigures:
    return GateFigures(
        missed_on=sum(len(one.outcome.missed) for one in group),
        missed_off=sum(len(one.ungated.missed) for one in group if one.ungated),
        frames=sum(one.findings.frames for one in group),
        looked=sum(one.findings.looked for one in group),
    )


def _errors(scenes: Sequence[ClipResult]) -> ErrorRates:
    nominal = DecisionConfig()
    first = [verdict for one in scenes for verdict in one.findings.verdicts]
    masked = [one.verdict for one in first if one.masked]
    bare = [one.verdict for one in first if not one.masked]
    unknown = sum(one.verdict is Verdict.UNKNOWN for one in first)
    return ErrorRates(
        false_alarm=nominal.false_alarm_rate,
        miss=nominal.miss_rate,
        accused=share(masked.count(Verdict.NO_MASK), len(masked)),
        acquitted=share(bare.count(Verdict.MASK), len(bare)),
        undecided=share(unknown, len(first)),
    )


def _by_kind(scenes: Iterable[ClipResult]) -> Iterable[KindFigures]:
    groups: dict[str, list[ClipResult]] = defaultdict(list)
    for one in scenes:
        groups[one.outcome.kind].append(one)
    for kind, group in groups.items():
        yield _of_kind(kind, group)


def _of_kind(kind: str, group: Sequence[ClipResult]) -> KindFigures:
    outcomes = [one.outcome for one in group]
    delays = [delay for outcome in outcomes for delay in _delays(outcome)]
    return KindFigures(
        kind=kind,
        clips=len(group),
        visits=sum(o.visits for o in outcomes),
        required=sum(o.required for o in outcomes),
        found=sum(o.found for o in outcomes),
        duplicates=sum(o.duplicates for o in outcomes),
        false_alarms=sum(len(o.false_alarms) for o in outcomes),
        delay=round(statistics.median(delays), 2) if delays else None,
        gate=_gate(group),
        swaps=sum(one.findings.swaps for one in group),
        fragments=sum(one.findings.fragments for one in group),
    )
