"""How violations are printed: as a table, JSON lines, CSV, or one of them as a story."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from maskwatch.domain import Verdict
from maskwatch.store.queries import Attempt, ChangeSummary, DeliveryState, Event, EventDetail

__all__ = ["FORMS", "as_json_line", "tell"]

_COLUMNS = ("id", "began", "camera", "zone", "verdict", "sure", "lasted", "alerts", "noted")
_FIELDS = (
    "id",
    "camera",
    "zone",
    "verdict",
    "first_seen",
    "started",
    "ended",
    "close_reason",
    "confidence",
    "evidence",
    "readings",
    "face_height",
    "model",
    "changes",
    "acknowledged_at",
    "acknowledged_by",
    "picture",
    "alerts",
    "silenced",
)
_VERDICTS = {Verdict.NO_MASK: "without a mask", Verdict.INCORRECT: "with the mask worn wrongly"}


def as_json_line(value: Event | EventDetail) -> str:
    """Return one JSON object; times are RFC 3339, UTC."""
    return msgspec.json.encode(value).decode()


def _json_lines(events: Iterator[Event]) -> Iterator[str]:
    return (as_json_line(event) for event in events)


def _csv_lines(events: Iterator[Event]) -> Iterator[str]:
    yield _csv_line(_FIELDS)
    for event in events:
        yield _csv_line([_csv_value(getattr(event, field)) for field in _FIELDS])


def _csv_value(value: object) -> str:
    match value:
        case None:
            return ""
        case datetime():
            return _utc(value)
        case dict():
            return " ".join(f"{state}={count}" for state, count in value.items())
        case str() if value[:1] in "=+-@\t" and value:
            return f"'{value}"  # a spreadsheet must not take a camera's name for a formula
        case _:
            return str(value)


def _csv_line(values: Sequence[str]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow(values)
    return buffer.getvalue()


def _table(events: Iterator[Event]) -> Iterator[str]:
    rows = [_COLUMNS, *(_table_row(event) for event in events)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    if len(rows) == 1:
        yield "(no violations)"


def _table_row(event: Event) -> tuple[str, ...]:
    lasted = "open" if event.ended is None else _span(event.ended - event.started)
    if event.close_reason == "interrupted":
        lasted += " (interrupted)"
    return (
        str(event.id),
        f"{event.started.astimezone():%Y-%m-%d %H:%M:%S}",
        event.camera,
        event.zone or "-",
        event.verdict,
        f"{event.confidence:.1%}",
        lasted,
        _alerts(event),
        event.acknowledged_by or "-",
    )


def _alerts(event: Event) -> str:
    if event.silenced:
        return "silenced"
    return ", ".join(f"{count} {state}" for state, count in event.alerts.items()) or "-"


FORMS: dict[str, Callable[[Iterator[Event]], Iterator[str]]] = {
    "table": _table,
    "jsonl": _json_lines,
    "csv": _csv_lines,
}
"""Each form turns violations into lines."""


# --- one story --------------------------------------------------------------------------------------


def tell(story: EventDetail, pictures: Path) -> Iterator[str]:
    """Yield the story of one violation, line by line; times are UTC."""
    event = story.event
    where = f"{event.camera}, zone {event.zone}" if event.zone else event.camera
    yield f"Violation {event.id}"
    yield f"  Somebody {_VERDICTS.get(Verdict(event.verdict), event.verdict)} at {where}"
    yield f"  first seen  {_utc(event.first_seen)}"
    yield f"  decided     {_utc(event.started)}  ({_after(event.started - event.first_seen)})"
    yield f"  ended       {_ending(event)}"
    sure = f"{event.confidence:.2%} sure"
    yield f"  evidence    {event.evidence:+.2f} nats from {event.readings} readings: {sure}"
    yield f"  best face   {event.face_height:.0f} px high; model {event.model}"
    if event.acknowledged_at is not None:
        yield f"  noted       {_utc(event.acknowledged_at)} by {event.acknowledged_by}"
    if event.silenced:
        yield "  alerts      told to nobody: the camera was snoozed when it began"
    for step in story.steps:
        yield ""
        yield from _tell_step(step, pictures)


def _ending(event: Event) -> str:
    if event.ended is None:
        return "not yet"
    return f"{_utc(event.ended)}  (after {_span(event.ended - event.started)}: {event.close_reason})"


def _tell_step(step: ChangeSummary, pictures: Path) -> Iterator[str]:
    change = step.change
    state = change.violation
    yield f"Change {change.number}: {change.kind}"
    yield f"  frame       {_utc(change.at)}"
    yield (
        f"  judged      {state.verdict}, {state.readings} readings, "
        f"{state.evidence:+.2f} nats, {state.confidence:.2%} sure"
    )
    yield f"  received    {_utc(step.received_at)}  ({_after(step.received_at - change.at)})"
    yield f"  stored      {_utc(step.stored_at)}  ({_after(step.stored_at - step.received_at)})"
    if step.picture is not None:
        yield f"  picture     {pictures / step.picture}"
    for posting in step.postings:
        yield from _tell_posting(posting)


def _tell_posting(posting: DeliveryState) -> Iterator[str]:
    yield f"  {posting.sink:<11} {_fate(posting)}"
    hidden = posting.attempts - len(posting.history)
    if hidden > 0 and posting.history:
        yield f"    ({hidden} earlier attempts are not kept)"
    for attempt in posting.history:
        yield f"    {_tell_attempt(attempt)}"


def _fate(posting: DeliveryState) -> str:
    when = f" {_utc(posting.finished_at)}" if posting.finished_at else ""
    why = f": {posting.last_error}" if posting.last_error else ""
    return f"{posting.state}{when}{why}"


def _tell_attempt(attempt: Attempt) -> str:
    took = _span(attempt.ended_at - attempt.sent_at)
    detail = f" ({attempt.detail})" if attempt.detail else ""
    return f"attempt {attempt.number}: sent {_utc(attempt.sent_at)}, {attempt.fate} after {took}{detail}"


def _utc(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def _after(length: timedelta) -> str:
    return ("" if length < timedelta(0) else "+") + _span(length)


def _span(length: timedelta) -> str:
    seconds = length.total_seconds()
    if abs(seconds) < 60:
        return f"{seconds:.3f} s" if abs(seconds) < 10 else f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
