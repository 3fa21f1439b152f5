"""Changes that the store cannot take now: delivered from memory, and stored later."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from uuid import UUID

from maskwatch.domain import Change, Incident
from maskwatch.store.record import Entry, subject_id

Key = tuple[UUID, int]
"""Identifies a change: its subject's id and its number."""


def key_of(subject: Change | Incident) -> Key:
    return subject_id(subject), subject.number


class UnstoredBuffer:
    """A bounded number of unstored entries, in the order of their arrival, without pictures."""

    def __init__(self, max_entries: int = 5000) -> None:
        self._max_entries = max_entries
        self._entries: dict[Key, Entry] = {}
        self._refused: set[tuple[str, UUID]] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def has_room_for(self, entries: Sequence[Entry]) -> bool:
        return len(self._entries) + len(entries) <= self._max_entries

    def add(self, entries: Sequence[Entry]) -> None:
        """Hold entries; one that is held already is not changed."""
        for entry in entries:
            self._entries.setdefault(key_of(entry.subject), replace(entry, picture=None))

    def entries(self) -> list[Entry]:
        """Return the entries, oldest first, with the sinks that accepted each meanwhile."""
        return list(self._entries.values())

    def remove(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            self._entries.pop(key_of(entry.subject), None)
        if not self._entries:
            self._refused.clear()

    def deliverable(self, sink: str) -> Iterator[Entry]:
        """Yield what the sink may be sent: of each subject the lowest number it has not accepted."""
        seen: set[UUID] = set()
        for (subject, _), entry in sorted(self._entries.items(), key=lambda item: item[0][1]):
            finished = sink in entry.delivered or (sink, subject) in self._refused
            if finished or entry.silent or subject in seen:
                continue
            seen.add(subject)
            yield entry

    def release(self, violations: Collection[UUID]) -> None:
        """Make the silent entries of these violations deliverable."""
        for key, entry in self._entries.items():
            if key[0] in violations:
                self._entries[key] = replace(entry, silent=False)

    def holds(self, key: Key) -> bool:
        return key in self._entries

    def mark_delivered(self, key: Key, sink: str) -> bool:
        """Record that a sink accepted an entry; return False if it is not (or no longer) held here."""
        entry = self._entries.get(key)
        if entry is None:
            return False
        self._entries[key] = replace(entry, delivered=entry.delivered | {sink})
        return True

    def mark_refused(self, key: Key, sink: str) -> bool:
        """Record that a sink refused an entry, and with it the later ones; False as above."""
        if key not in self._entries:
            return False
        self._refused.add((sink, key[0]))
        return True
