"""After the storm: compares what was acknowledged, stored and received."""

from __future__ import annotations

import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from maskwatch.lab.evaluation.matching import ReportedVisit
from tests.fakes.samples import violation_id

Key = tuple[str, int]
CHANNEL = "guard"
"""The channel of `people`."""
_MQTT, _PEOPLE = "mqtt", f"people-{CHANNEL}"
_HOSTILE = str(violation_id(0))[:-8]
"""What the ids begin with that a worker makes up which was taken over."""


def made_up(key: Key) -> bool:
    """Return whether a hostile worker reported it of its own camera; nothing is promised of that."""
    return key[0].startswith(_HOSTILE)


@dataclass(frozen=True)
class Stored:
    """The database's content: changes with the states of their deliveries, and opened violations.

    Attributes:
        changes: with the states of their deliveries to the broker.
        notices: first changes of violations, with the states of their deliveries to the channel.
        opened: the violations.
        unfinished: how many deliveries are parked, or still wait; also of what was made up.
        out_of_order: violations without a change in the middle.
    """

    changes: dict[Key, str]
    notices: dict[Key, str]
    opened: list[ReportedVisit]
    unfinished: int
    out_of_order: int


def read_journal(path: Path) -> set[Key]:
    """Return the changes whose `record` had returned."""
    rows = (line.split() for line in path.read_text().splitlines())
    return {(row[0], int(row[1])) for row in rows}


def read_store(path: Path) -> Stored:
    """Read a database that no daemon has open."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        rows = database.execute(
            "SELECT c.subject, c.number, o.sink, o.state"
            " FROM change c JOIN outbox o ON o.change_id = c.id"
            " WHERE c.violation_id IS NOT NULL"
        ).fetchall()
        opened = database.execute("SELECT id, camera, started FROM violation").fetchall()
        unfinished = database.execute(
            "SELECT count(*) FROM outbox WHERE state IN ('parked', 'pending')"
        ).fetchone()[0]
        gaps = database.execute(
            "SELECT count(*) FROM (SELECT max(number) <> count(*) AS gap FROM change"
            " WHERE violation_id IS NOT NULL GROUP BY subject) WHERE gap"
        ).fetchone()[0]
    database.close()
    states: dict[str, dict[Key, str]] = {_MQTT: {}, _PEOPLE: {}}
    for subject, number, sink, state in rows:
        key = (str(UUID(subject)), number)
        if not made_up(key):
            states[sink][key] = state
    visits = [
        ReportedVisit(camera, str(UUID(id)), datetime.fromisoformat(at).replace(tzinfo=UTC))
        for id, camera, at in opened  # noqa: A001 - the column's name
    ]
    return Stored(
        states[_MQTT],
        {key: state for key, state in states[_PEOPLE].items() if key[1] == 1},
        [visit for visit in visits if not made_up((visit.id, 1))],
        unfinished,
        gaps,
    )


@dataclass
class Reconciliation:
    """Compares journal, database and received alerts; `faults` describes the differences."""

    journal: set[Key]
    stored: Stored
    received: list[Key]
    notified: set[Key]
    all_kills: int
    window: int
    faults: list[str] = field(default_factory=list)

    def check(self) -> None:
        """Compare, and append the differences to `faults`."""
        stored = set(self.stored.changes)
        distinct = set(self.received)
        # A later change of the same violation went out first: consumers have its final state.
        superseded = {key for key, state in self.stored.changes.items() if state == "superseded"}
        self._expect_none("recorded (acknowledged) but not stored", self.journal - stored)
        self._expect_none("stored but not received", stored - superseded - distinct)
        self._expect_none("received but not stored", distinct - stored)
        due = {key for key, state in self.stored.notices.items() if state == "delivered"}
        self._expect_none("due to people and not notified", due - self.notified)
        self._expect_none("notified but not stored", self.notified - stored)
        if self.stored.unfinished:
            self.faults.append(f"{self.stored.unfinished} deliveries are parked or still wait")
        if self.stored.out_of_order:
            self.faults.append(f"{self.stored.out_of_order} violations lack a change in the middle")
        duplicates = len(self.received) - len(distinct)
        if duplicates > self.all_kills * self.window:
            self.faults.append(f"{duplicates} duplicates are more than kills times the window")

    def _expect_none(self, what: str, keys: set[Key]) -> None:
        if keys:
            sample = ", ".join(f"{id}:{number}" for id, number in sorted(keys)[:3])  # noqa: A001 - the field's name
            self.faults.append(f"{len(keys)} changes {what}: {sample}")

    def lines(self) -> list[str]:
        """Return the summary that is printed."""
        states = Counter(self.stored.changes.values())
        unnoted = len(set(self.stored.changes) - self.journal)
        return [
            f"violations stored       {len(self.stored.opened)}",
            f"changes acknowledged    {len(self.journal)}",
            f"changes stored          {len(self.stored.changes)} ({dict(states)})",
            f"alerts received         {len(self.received)}, distinct {len(set(self.received))}",
            f"people notified         {len(self.notified)} of {len(self.stored.notices)} violations",
            f"stored, not noted       {unnoted} (worker killed first, or closed by the recorder)",
        ]
