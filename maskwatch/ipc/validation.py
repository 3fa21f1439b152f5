"""What no sound child says, although it fits the types: for messages, on arrival.

Whoever reads a message may then do arithmetic with its times and put its names into topics.
"""

from __future__ import annotations

from datetime import datetime

from maskwatch.domain import Change, OccupancyMinute

__all__ = ["check_change", "check_minute", "check_moment"]

_YEARS = range(1969, 2200)  # a clock without a battery begins at the end of 1969 in the far west
_MOST_NUMBER = 1_000_000_000
_LONGEST = 200
_MOST_ZONES = 1000
_NO_NAME = frozenset("/+#") | {chr(code) for code in range(32)}  # what topics are made of, and control


def check_moment(moment: datetime | None) -> None:
    """Raise ValueError for a time without a zone, or one that no clock shows."""
    if moment is None:
        return
    if moment.tzinfo is None or moment.year not in _YEARS:
        raise ValueError(f"{moment} is no time that a clock shows")


def check_change(change: Change) -> None:
    """Raise ValueError for a change that no worker makes."""
    violation = change.violation
    for moment in (change.at, violation.first_seen, violation.started, violation.ended):
        check_moment(moment)
    if not 1 <= change.number <= _MOST_NUMBER:
        raise ValueError(f"{change.number} is no number of a change")
    if len(violation.zones) > _MOST_ZONES or len(violation.model) > _LONGEST:
        raise ValueError("a violation of more zones, or a longer model's name, than there are")
    _check_names(violation.camera, violation.zone, *violation.zones)


def check_minute(minute: OccupancyMinute) -> None:
    """Raise ValueError for a count that no worker makes."""
    check_moment(minute.minute)
    _check_names(minute.camera, minute.zone)


def _check_names(*names: str) -> None:
    for name in names:
        if len(name) > _LONGEST or not _NO_NAME.isdisjoint(name):
            raise ValueError(f"{name[:40]!r} is no name of a camera or a zone")
