"""The figures of an evaluation are correct, and the same in text, JSON, picture and page."""

from __future__ import annotations

from datetime import date
from xml.etree import ElementTree as ET

import msgspec

from maskwatch.domain import Verdict
from maskwatch.lab.evaluation.events import Alert, ClipOutcome, FalseAlarm, Missed
from maskwatch.lab.evaluation.page import as_page
from maskwatch.lab.evaluation.picture import events_svg
from maskwatch.lab.evaluation.report import EventFigures, summarise
from maskwatch.lab.evaluation.results import ClipResult
from maskwatch.lab.evaluation.text import as_text
from maskwatch.lab.evaluation.tracks import FirstVerdict, TrackFindings
from maskwatch.lab.machine import machine


def _outcome(**fields: object) -> ClipOutcome:
    plain = ClipOutcome(
        kind="pair",
        seed=0,
        seconds=6.0,
        rate=10.0,
        portraits=("a", "b"),
        visits=2,
        required=1,
        alerts=(Alert(person="p0", at=1.0, delay=0.4, required=True),),
        duplicates=0,
        missed=(),
        false_alarms=(),
    )
    return msgspec.structs.replace(plain, **fields)


def _result(outcome: ClipOutcome, ungated: ClipOutcome | None = None, **fields: object) -> ClipResult:
    plain = TrackFindings(frames=30, looked=24, swaps=0, fragments=0, verdicts=(), faces=2, uncovered=0)
    findings = msgspec.structs.replace(plain, **fields)
    return ClipResult(outcome=outcome, findings=findings, ungated=ungated)


_MISS = (Missed(person="p0", judgeable_from=1.0, judgeable_seconds=2.0),)
_WRONG = _outcome(
    alerts=(), missed=_MISS, false_alarms=(FalseAlarm(at=1.0, about="p1 (masked)"),), seed=1
)


def _figures(*scenes: ClipResult, negatives: tuple[ClipResult, ...] = ()) -> EventFigures:
    return summarise(scenes, negatives, model="m1", command="maskwatch evaluate --events")


def test_every_figure_has_its_interval_and_every_fault_is_listed() -> None:
    negative = _result(_outcome(kind="quiet", visits=0, required=0, alerts=()), looked=3)
    figures = _figures(_result(_WRONG, _outcome()), negatives=(negative,))
    assert (figures.recall.value, figures.precision.value) == (0.0, 0.0)
    assert figures.false_per_hour.value == 0.0
    assert figures.false_per_hour.high is not None
    assert figures.false_per_hour.high > 2000  # six seconds say little about an hour
    text = as_text(figures)
    assert "missed  pair-1: p0" in text
    assert "false   pair-1: at 1.0 s, p1 (masked)" in text


def test_misses_are_counted_with_the_gate_on_and_off() -> None:
    figures = _figures(_result(_WRONG, _outcome()), _result(_outcome(), _outcome()))
    assert (figures.gate.missed_on, figures.gate.missed_off) == (1, 0)
    assert round(figures.gate.saved, 3) == 0.2


def test_measured_error_rates_accompany_the_nominal_ones() -> None:
    verdicts = (
        FirstVerdict(masked=True, verdict=Verdict.NO_MASK),
        FirstVerdict(masked=True, verdict=Verdict.MASK),
        FirstVerdict(masked=False, verdict=Verdict.MASK),
        FirstVerdict(masked=False, verdict=Verdict.UNKNOWN),
    )
    errors = _figures(_result(_outcome(), _outcome(), verdicts=verdicts)).errors
    assert (errors.accused.value, errors.acquitted.value, errors.undecided.value) == (0.5, 0.5, 0.25)
    assert (errors.false_alarm, errors.miss) == (0.001, 0.01)


def test_clips_below_five_frames_a_second_do_not_count_for_the_delay() -> None:
    slow = _outcome(rate=2.0, alerts=(Alert(person="p0", at=9.0, delay=8.0, required=True),))
    assert _figures(_result(_outcome()), _result(slow)).delay.value == 0.4


def test_different_faces_are_counted_once() -> None:
    figures = _figures(_result(_outcome()), _result(_outcome(portraits=("b", "c"))))
    assert figures.faces == 3


def test_the_figures_are_plain_json() -> None:
    plain = msgspec.json.decode(msgspec.json.encode(_figures(_result(_outcome()))))
    assert plain["recall"]["value"] == 1.0
    assert plain["false_per_hour"]["value"] is None


def test_the_picture_is_valid_svg_with_a_bar_for_each_kind() -> None:
    drawing = ET.fromstring(events_svg(_figures(_result(_outcome()), _result(_WRONG))))
    words = [element.text for element in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert "pair" in words
    assert "1 of 2" in words


def test_the_page_names_command_machine_and_date() -> None:
    page = as_page(_figures(_result(_WRONG, _outcome())), date(2026, 11, 25), "images/events.svg")
    assert "maskwatch evaluate --events" in page
    assert machine() in page
    assert "2026-11-25" in page
    assert "(images/events.svg)" in page
    assert "missed  pair-1: p0" in page
    assert "| event recall | 0.000" in page


def test_a_page_without_faults_says_so() -> None:
    assert "Nothing was missed" in as_page(_figures(_result(_outcome())), date(2026, 11, 25))
