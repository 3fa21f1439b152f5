"""Formats of violations: a table, JSON lines, CSV, and the details of one violation."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec

from maskwatch.domain import Verdict
from maskwatch.store.queries import Attempt, ChangeSummary, DeliveryState, Event, EventDetail

_COLUMNS = (
    "id",
    "began",
    "camera",
    "zone",
    "verdict",
    "confidence",
    "duration",
    "alerts",
    "acknowledged",
)
_FIELDS = tuple(field.name for field in fields(Event))
_VERDICTS = {Verdict.NO_MASK: "without a mask", Verdict.INCORRECT: "with the mask worn wrongly"}


def as_json_line(value: Event | EventDetail) -> str:
    """Return one JSON object; times are RFC 3339, UTC."""
    return msgspec.json.encode(value).decode()


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
            return f"'{value}"  # a spreadsheet must not evaluate a camera's name as a formula
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
    duration = "open" if event.ended is None else _span(event.ended - event.first_seen)
    if event.close_reason == "interrupted":
        duration += " (interrupted)"
    return (
        str(event.id),
        f"{event.started.astimezone():%Y-%m-%d %H:%M:%S}",
        event.camera,
        event.zone or "-",
        event.verdict,
        f"{event.confidence:.1%}",
        duration,
        _alerts(event),
        event.acknowledged_by or "-",
    )


def _alerts(event: Event) -> str:
    if event.silenced:
        return "silenced"
    return ", ".join(f"{count} {state}" for state, count in event.alerts.items()) or "-"


FORMS: dict[str, Callable[[Iterator[Event]], Iterator[str]]] = {
    "table": _table,
    "jsonl": partial(map, as_json_line),
    "csv": _csv_lines,
}
"""The functions that format violations as lines, by name of the format."""


# --- details of one violation -----------------------------------------------------------------------


def detail_lines(detail: EventDetail, pictures: Path) -> Iterator[str]:
    """Yield the details of one violation as lines; times are UTC."""
    event = detail.event
    place = f"{event.camera}, zone {event.zone}" if event.zone else event.camera
    yield f"Violation {event.id}"
    yield f"  Person {_VERDICTS.get(Verdict(event.verdict), event.verdict)} at {place}"
    yield f"  first seen  {_utc(event.first_seen)}"
    yield f"  decided     {_utc(event.started)}  ({_after(event.started - event.first_seen)})"
    yield f"  ended       {_end(event)}"
    confidence = f"{event.confidence:.2%} confidence"
    yield f"  evidence    {event.evidence:+.2f} nats from {event.readings} readings: {confidence}"
    yield f"  best face   {event.face_height:.0f} px high; model {event.model}"
    if event.acknowledged_at is not None:
        yield f"  acked       {_utc(event.acknowledged_at)} by {event.acknowledged_by}"
    if event.silenced:
        yield "  alerts      none: the camera was snoozed when it began"
    for summary in detail.steps:
        yield ""
        yield from _change_lines(summary, pictures)


def _end(event: Event) -> str:
    if event.ended is None:
        return "not yet"
    in_view = _span(event.ended - event.first_seen)
    return f"{_utc(event.ended)}  (in view for {in_view}: {event.close_reason})"


def _change_lines(summary: ChangeSummary, pictures: Path) -> Iterator[str]:
    change = summary.change
    state = change.violation
    yield f"Change {change.number}: {change.kind}"
    yield f"  frame       {_utc(change.at)}"
    yield (
        f"  judged      {state.verdict}, {state.readings} readings, "
        f"{state.evidence:+.2f} nats, {state.confidence:.2%} confidence"
    )
    yield f"  received    {_utc(summary.received_at)}  ({_after(summary.received_at - change.at)})"
    yield f"  stored      {_utc(summary.stored_at)}  ({_after(summary.stored_at - summary.received_at)})"
    if summary.picture is not None:
        yield f"  picture     {pictures / summary.picture}"
    for delivery in summary.postings:
        yield from _delivery_lines(delivery)


def _delivery_lines(delivery: DeliveryState) -> Iterator[str]:
    yield f"  {delivery.sink:<11} {_result(delivery)}"
    hidden = delivery.attempts - len(delivery.history)
    if hidden > 0 and delivery.history:
        yield f"    ({hidden} earlier attempts are not kept)"
    for attempt in delivery.history:
        yield f"    {_attempt_line(attempt)}"


def _result(delivery: DeliveryState) -> str:
    when = f" {_utc(delivery.finished_at)}" if delivery.finished_at else ""
    reason = f": {delivery.last_error}" if delivery.last_error else ""
    return f"{delivery.state}{when}{reason}"


def _attempt_line(attempt: Attempt) -> str:
    if attempt.fate == "retried":
        return f"attempt {attempt.number}: {_utc(attempt.sent_at)}, {attempt.detail}"
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
