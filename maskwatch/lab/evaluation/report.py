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


class GateFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The motion gate: required events missed with it on and off, frames, and detector runs."""

    missed_on: int
    missed_off: int
    frames: int
    looked: int

    @property
    def saved(self) -> float:
        """Share of the detector runs that the gate saves."""
        return 1 - self.looked / self.frames if self.frames else 0.0


class ErrorRates(msgspec.Struct, frozen=True, kw_only=True):
    """First verdicts about judgeable people, beside the nominal error rates.

    Attributes:
        false_alarm, miss: nominal (Wald's alpha and beta).
        accused: share of masked people with the first verdict "no mask".
        acquitted: share of people without a mask with the first verdict "mask".
        undecided: share of people without any verdict.

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
        faces: number of different portraits.
        recall: required events that were reported, of all required.
        precision: reported events that were expected, of all reported without duplicates.
        duplicates: duplicates per correctly reported visit.
        delay: seconds from the first judgeable face to the alert, median of required events in clips
            of at least 5 frames a second, the rate of the evaluation.
        false_per_hour: false alarms per hour of negative footage.
        quiet_gate: the gate over negative footage.
        uncovered: share of true faces in pictures of violations that are not anonymized.

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
    scenes: Sequence[ClipResult], negatives: Sequence[ClipResult], *, model: str, command: str
) -> EventFigures:
    """Return the figures of the scenes and of the negative footage."""
    outcomes = [result.outcome for result in scenes]
    negative_outcomes = [result.outcome for result in negatives]
    findings = [result.findings for result in (*scenes, *negatives)]
    alerts = sum(len(outcome.alerts) for outcome in outcomes)
    false_alarms = sum(len(outcome.false_alarms) for outcome in outcomes)
    negative_seconds = sum(outcome.seconds for outcome in negative_outcomes)
    return EventFigures(
        model=model,
        command=command,
        clips=len(outcomes),
        visits=sum(outcome.visits for outcome in outcomes),
        seconds=round(sum(outcome.seconds for outcome in outcomes), 1),
        faces=len({name for outcome in outcomes for name in outcome.portraits}),
        recall=share(sum(o.found for o in outcomes), sum(o.required for o in outcomes)),
        precision=share(alerts, alerts + false_alarms),
        duplicates=ratio([(o.duplicates, len(o.alerts)) for o in outcomes]),
        delay=median([_delays(o) for o in outcomes if o.rate >= RATE]),
        false_per_hour=rate_per_hour(
            sum(len(o.false_alarms) for o in negative_outcomes), negative_seconds
        ),
        quiet_seconds=round(negative_seconds, 1),
        quiet_gate=_gate(negatives),
        gate=_gate(scenes),
        errors=_errors(scenes),
        swaps=sum(f.swaps for f in findings),
        fragments=sum(f.fragments for f in findings),
        uncovered=share(sum(f.uncovered for f in findings), sum(f.faces for f in findings)),
        kinds=tuple(_by_kind(scenes)),
        judged=(*scenes, *negatives),
    )


def _delays(outcome: ClipOutcome) -> list[float]:
    return [a.delay for a in outcome.alerts if a.required and a.delay is not None]


def _gate(group: Sequence[ClipResult]) -> GateFigures:
    return GateFigures(
        missed_on=sum(len(result.outcome.missed) for result in group),
        missed_off=sum(len(result.ungated.missed) for result in group if result.ungated),
        frames=sum(result.findings.frames for result in group),
        looked=sum(result.findings.looked for result in group),
    )


def _errors(scenes: Sequence[ClipResult]) -> ErrorRates:
    nominal = DecisionConfig()
    first = [verdict for result in scenes for verdict in result.findings.verdicts]
    masked = [f.verdict for f in first if f.masked]
    bare = [f.verdict for f in first if not f.masked]
    unknown = sum(f.verdict is Verdict.UNKNOWN for f in first)
    return ErrorRates(
        false_alarm=nominal.false_alarm_rate,
        miss=nominal.miss_rate,
        accused=share(masked.count(Verdict.NO_MASK), len(masked)),
        acquitted=share(bare.count(Verdict.MASK), len(bare)),
        undecided=share(unknown, len(first)),
    )


def _by_kind(scenes: Iterable[ClipResult]) -> Iterable[KindFigures]:
    groups: dict[str, list[ClipResult]] = defaultdict(list)
    for result in scenes:
        groups[result.outcome.kind].append(result)
    for kind, group in groups.items():
        yield _kind_figures(kind, group)


def _kind_figures(kind: str, group: Sequence[ClipResult]) -> KindFigures:
    outcomes = [result.outcome for result in group]
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
        swaps=sum(result.findings.swaps for result in group),
        fragments=sum(result.findings.fragments for result in group),
    )
