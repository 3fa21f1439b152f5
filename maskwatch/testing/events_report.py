"""The figures of an event evaluation, summed over its clips, and as a table to be read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from maskwatch.testing.events_eval import ClipOutcome
from maskwatch.testing.intervals import Estimate, median, rate_per_hour, ratio, share

__all__ = ["EventFigures", "KindFigures", "as_text", "summarise"]


class KindFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of one kind of scene."""

    kind: str
    clips: int
    visits: int
    required: int
    found: int
    duplicates: int
    false_alarms: int


class EventFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of a whole run.

    Attributes:
        recall: required events that were reported, of all required.
        precision: reported events that were expected, of all reported; duplicates stand apart.
        duplicates: duplicates per visit that was rightly reported.
        delay: seconds from the first judgeable face to the alert, median of required events.
        false_per_hour: false alarms per hour of footage in which nothing may be reported.

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
    kinds: tuple[KindFigures, ...]
    outcomes: tuple[ClipOutcome, ...]


def summarise(
    outcomes: Sequence[ClipOutcome],
    quiet: Sequence[ClipOutcome],
    *,
    model: str,
    command: str,
    faces: int,
) -> EventFigures:
    """Return the figures of the scenes (`outcomes`) and of the hour without events (`quiet`)."""
    alerts = sum(len(outcome.alerts) for outcome in outcomes)
    strange = sum(len(outcome.false_alarms) for outcome in outcomes)
    quiet_seconds = sum(outcome.seconds for outcome in quiet)
    return EventFigures(
        model=model,
        command=command,
        clips=len(outcomes),
        visits=sum(outcome.visits for outcome in outcomes),
        seconds=round(sum(outcome.seconds for outcome in outcomes), 1),
        faces=faces,
        recall=share(sum(o.found for o in outcomes), sum(o.required for o in outcomes)),
        precision=share(alerts, alerts + strange),
        duplicates=ratio([(o.duplicates, len(o.alerts)) for o in outcomes]),
        delay=median([_delays(outcome) for outcome in outcomes]),
        false_per_hour=rate_per_hour(sum(len(o.false_alarms) for o in quiet), quiet_seconds),
        quiet_seconds=round(quiet_seconds, 1),
        kinds=tuple(_by_kind(outcomes)),
        outcomes=(*outcomes, *quiet),
    )


def _delays(outcome: ClipOutcome) -> list[float]:
    return [a.delay for a in outcome.alerts if a.required and a.delay is not None]


def _by_kind(outcomes: Iterable[ClipOutcome]) -> Iterable[KindFigures]:
    groups: dict[str, list[ClipOutcome]] = defaultdict(list)
    for outcome in outcomes:
        groups[outcome.kind].append(outcome)
    for kind, group in groups.items():
        yield KindFigures(
            kind=kind,
            clips=len(group),
            visits=sum(o.visits for o in group),
            required=sum(o.required for o in group),
            found=sum(o.found for o in group),
            duplicates=sum(o.duplicates for o in group),
            false_alarms=sum(len(o.false_alarms) for o in group),
        )


def as_text(figures: EventFigures) -> str:
    """Return the figures as a table, with every miss and every false alarm named below it."""
    f = figures
    head = [
        f"model {f.model}, {f.faces} portraits; 95 % intervals",
        f"{f.clips} clips, {f.seconds / 60:.0f} min, {f.visits} visits",
        "",
        f"event recall            {f.recall.text()}  of {f.recall.of} required",
        f"event precision         {f.precision.text()}  of {f.precision.of} reported",
        f"duplicates per visit    {f.duplicates.text()}",
        f"median delay            {f.delay.text(2, ' s')}",
        f"false alarms per hour   {f.false_per_hour.text(2)}  in {f.quiet_seconds / 60:.0f} quiet min",
        "",
        f"{'kind':20}{'clips':>6}{'visits':>8}{'required':>10}{'found':>7}{'twice':>7}{'false':>7}",
    ]
    rows = [
        f"{k.kind:20}{k.clips:6}{k.visits:8}{k.required:10}{k.found:7}{k.duplicates:7}{k.false_alarms:7}"
        for k in f.kinds
    ]
    return "\n".join([*head, *rows, "", *_faults(f.outcomes)]).rstrip()


def _faults(outcomes: Iterable[ClipOutcome]) -> Iterable[str]:
    for o in outcomes:
        clip = f"{o.kind}-{o.seed}"
        for miss in o.missed:
            yield (
                f"missed  {clip}: {miss.person}, judgeable from {miss.judgeable_from:.1f} s "
                f"for {miss.judgeable_seconds:.1f} s"
            )
        for alarm in o.false_alarms:
            yield f"false   {clip}: at {alarm.at:.1f} s, {alarm.about}"
        if o.duplicates:
            yield f"twice   {clip}: {o.duplicates}"
