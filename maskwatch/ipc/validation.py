"""Rejects values that no correct child sends, although they fit the types.

Messages are checked on arrival. Their readers may then compute with the times and use the names in
topics.
"""

from __future__ import annotations

from datetime import datetime

from maskwatch.decoding import MAX_INTEGER
from maskwatch.domain import Change, OccupancyMinute

_YEARS = range(1969, 2200)  # a clock without a battery begins at the end of 1969 in the far west
_MAX_NUMBER = 1_000_000_000
_MAX_LENGTH = 200
_MAX_ZONES = 1000
_FORBIDDEN = frozenset("/+#") | {chr(code) for code in range(32)}  # MQTT separators, control characters


def check_time(time: datetime | None) -> None:
    """Raise ValueError for a time without a zone, or outside the representable range."""
    if time is None:
        return
    if time.tzinfo is None or time.year not in _YEARS:
        raise ValueError(f"the time {time} has no zone, or is out of range")


def check_change(change: Change) -> None:
    """Raise ValueError for a change that no worker makes."""
    violation = change.violation
    for time in (change.at, violation.first_seen, violation.started, violation.ended):
        check_time(time)
    if not 1 <= change.number <= _MAX_NUMBER:
        raise ValueError(f"the change number {change.number} is out of range")
    _check_integers(violation.track, violation.readings)
    if len(violation.zones) > _MAX_ZONES:
        raise ValueError(f"{len(violation.zones)} zones")
    if len(violation.model) > _MAX_LENGTH or not violation.model.isprintable():
        raise ValueError(f"{violation.model[:40]!r} is not a valid name of a model")
    _check_names(violation.camera, violation.zone, *violation.zones)


def check_minute(minute: OccupancyMinute) -> None:
    """Raise ValueError for a count that no worker makes."""
    check_time(minute.minute)
    _check_integers(minute.seen, minute.judged, minute.masked, minute.unmasked)
    _check_integers(minute.incorrect, minute.unknown, minute.peak)
    _check_names(minute.camera, minute.zone)


def _check_integers(*numbers: int) -> None:
    if not all(0 <= number <= MAX_INTEGER for number in numbers):
        raise ValueError("a count is out of range")


def _check_names(*names: str) -> None:
    for name in names:
        if len(name) > _MAX_LENGTH or not _FORBIDDEN.isdisjoint(name):
            raise ValueError(f"{name[:40]!r} is not a valid name of a camera or zone")
