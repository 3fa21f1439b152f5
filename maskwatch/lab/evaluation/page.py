"""The figures of an event evaluation as a page of the manual, with machine and date."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from maskwatch.lab.evaluation.intervals import Estimate
from maskwatch.lab.evaluation.report import EventFigures, KindFigures
from maskwatch.lab.evaluation.text import faults
from maskwatch.lab.machine import machine

_INTRODUCTION = """\
# What the events suite measured

The command below writes this page. [scenes.md](scenes.md) explains scenes and how a report is judged,
[decisions.md](decisions.md) how maskwatch decides. Intervals are 95 %: Wilson's for shares, Poisson's
for the rate, a bootstrap over clips for median and duplicates.
"""


def as_page(figures: EventFigures, day: date, picture: str = "") -> str:
    """Return the page in Markdown; `picture` is the path of the drawing, relative to the page."""
    drawn = ["", f"![The figures as a drawing]({picture})"] if picture else []
    lines = [
        _INTRODUCTION,
        *_provenance(figures, day),
        "",
        *_required_figures(figures),
        *drawn,
        "",
        *_further_figures(figures),
        "",
        *_kinds(figures.kinds),
        "",
        *_faults(figures),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _provenance(f: EventFigures, day: date) -> Iterator[str]:
    yield "```sh"
    yield f.command
    yield "```"
    yield ""
    yield f"Model {f.model}; {machine()}; {day.isoformat()}."
    yield (
        f"{f.clips} clips of {len(f.kinds)} kinds, {f.seconds / 60:.0f} minutes, {f.visits} visits of "
        f"people with {f.faces} different faces; {f.quiet_seconds / 60:.0f} minutes in which nothing "
        "happens."
    )


def _required_figures(f: EventFigures) -> Iterator[str]:
    minutes = f"{f.quiet_seconds / 60:.0f}"
    yield from _table(
        ("figure", "measured", "at least", "aim"),
        ("event recall", f"{f.recall.text()} of {f.recall.of}", "0.95", "0.99"),
        ("event precision", f"{f.precision.text()} of {f.precision.of}", "0.95", "0.99"),
        ("duplicates per visit", f.duplicates.text(), "0.05", "0"),
        ("median time from first judgeable face to alert", f.delay.text(2, " s"), "1.2 s", "0.6 s"),
        (f"false alarms in {minutes} quiet minutes", f"{f.false_per_hour.text(2)} an hour", "0", "0"),
    )


def _further_figures(f: EventFigures) -> Iterator[str]:
    rates, scenes, empty = f.errors, f.gate, f.quiet_gate
    missed = f"{scenes.missed_on} / {scenes.missed_off}"
    yield from _table(
        ("further figures", "measured", "of", "nominal"),
        ("masked people first judged as not masked", *_of(rates.accused), f"{rates.false_alarm:g}"),
        ("people without a mask first judged as masked", *_of(rates.acquitted), f"{rates.miss:g}"),
        ("people without a verdict", *_of(rates.undecided), ""),
        ("required events missed, motion gate on / off", missed, f"{f.recall.of}", ""),
        ("detector runs saved in scenes", f"{scenes.saved:.1%}", f"{scenes.frames} frames", ""),
        (
            "detector runs saved in quiet footage",
            f"{empty.saved:.1%}",
            f"{empty.frames} frames",
            "",
        ),
        ("tracks that moved to another person", f"{f.swaps}", f"{f.visits} visits", ""),
        ("tracks that ended too early", f"{f.fragments}", f"{f.visits} visits", ""),
        ("faces that pictures of violations show", *_of(f.uncovered), ""),
    )


def _of(share: Estimate) -> tuple[str, str]:
    return share.text(), str(share.of)


def _table(head: tuple[str, ...], *rows: tuple[str, ...]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|---" * len(head) + "|"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _kinds(kinds: tuple[KindFigures, ...]) -> Iterator[str]:
    counts = ("clips", "visits", "required", "found", "duplicates", "false")
    head = ("kind", *counts, "delay, s", "missed without gate", "runs saved", "swaps")
    yield from _table(head, *(_row(kind) for kind in kinds))


def _row(k: KindFigures) -> tuple[str, ...]:
    counts = (k.clips, k.visits, k.required, k.found, k.duplicates, k.false_alarms)
    delay = "" if k.delay is None else f"{k.delay:.1f}"
    gate = (str(k.gate.missed_off), f"{k.gate.saved:.0%}")
    return (k.kind, *(str(count) for count in counts), delay, *gate, str(k.swaps))


def _faults(f: EventFigures) -> Iterator[str]:
    lines = list(faults([result.outcome for result in f.judged]))
    if not lines:
        yield "Nothing was missed, reported twice, or reported without a person."
        return
    yield "Every miss, false alarm and duplicate:"
    yield ""
    yield "```"
    yield from lines
    yield "```"
