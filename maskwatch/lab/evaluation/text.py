"""The figures of an event evaluation as text tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from maskwatch.lab.evaluation.events import ClipOutcome
from maskwatch.lab.evaluation.report import EventFigures, KindFigures


def as_text(figures: EventFigures) -> str:
    """Return the figures as tables, followed by every miss, false alarm and duplicate."""
    outcomes = [result.outcome for result in figures.judged]
    lines = [*_head(figures), "", *_kinds(figures.kinds), "", *faults(outcomes)]
    return "\n".join(lines).rstrip()


def _head(f: EventFigures) -> Iterator[str]:
    yield f"model {f.model}; 95 % intervals"
    yield f"{f.clips} clips, {f.seconds / 60:.0f} min, {f.visits} visits, {f.faces} faces"
    yield ""
    yield f"event recall            {f.recall.text()}  of {f.recall.of} required"
    yield f"event precision         {f.precision.text()}  of {f.precision.of} reported"
    yield f"duplicates per visit    {f.duplicates.text()}"
    yield f"median delay            {f.delay.text(2, ' s')}"
    yield f"false alarms per hour   {f.false_per_hour.text(2)}  in {f.quiet_seconds / 60:.0f} quiet min"
    yield ""
    rates, saved = f.errors, (f.gate.saved, f.quiet_gate.saved)
    nominal = f"nominal {rates.false_alarm:g}", f"nominal {rates.miss:g}"
    yield f"masked, judged no mask  {rates.accused.text()}  of {rates.accused.of}; {nominal[0]}"
    yield f"no mask, judged masked  {rates.acquitted.text()}  of {rates.acquitted.of}; {nominal[1]}"
    yield f"without a verdict       {rates.undecided.text()}  of {rates.undecided.of}"
    yield f"missed, gate on / off   {f.gate.missed_on} / {f.gate.missed_off}"
    yield f"detector runs saved     {saved[0]:.3f} in scenes, {saved[1]:.3f} in quiet footage"
    yield f"tracks                  {f.swaps} swapped, {f.fragments} fragmented"
    yield f"faces not anonymized    {f.uncovered.text(4)}  of {f.uncovered.of} in pictures"


def _kinds(kinds: Iterable[KindFigures]) -> Iterator[str]:
    names = ("clips", "visits", "due", "found", "dups", "false", "delay", "no gate", "saved", "swaps")
    yield f"{'kind':20}" + "".join(f"{name:>8}" for name in names)
    for k in kinds:
        delay = "-" if k.delay is None else f"{k.delay:.1f}"
        counts = (k.clips, k.visits, k.required, k.found, k.duplicates, k.false_alarms)
        rest = (delay, str(k.required - k.gate.missed_off), f"{k.gate.saved:.2f}", str(k.swaps))
        yield f"{k.kind:20}" + "".join(f"{value:>8}" for value in (*counts, *rest))


def faults(outcomes: Iterable[ClipOutcome]) -> Iterator[str]:
    """Yield a line for each miss, each false alarm and each clip with duplicates."""
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
            yield f"dups    {clip}: {o.duplicates}"
