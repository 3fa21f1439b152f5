"""Changes that could not be stored since the disk is full: delivered from memory, stored later."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from uuid import UUID

from maskwatch.domain import Change, Incident
from maskwatch.store.record import Entry, subject_id

__all__ = ["Key", "UnstoredBuffer", "key_of"]

Key = tuple[UUID, int]


def key_of(subject: Change | Incident) -> Key:
    """Return what names a change: its subject's id and its number."""
    return subject_id(subject), subject.number


class UnstoredBuffer:
    """A bounded number of unstored entries, in the order of their arrival, without pictures."""

    def __init__(self, most: int = 5000) -> None:
        self._most = most
        self._entries: dict[Key, Entry] = {}
        self._refused: set[tuple[str, UUID]] = set()

    def __len__(self) -> int:
        return len(self._entries)

    def room_for(self, entries: Sequence[Entry]) -> bool:
        """Return whether all of these would fit."""
        return len(self._entries) + len(entries) <= self._most

    def keep(self, entries: Sequence[Entry]) -> None:
        """Hold entries; one that is held already is not changed."""
        for entry in entries:
            self._entries.setdefault(key_of(entry.subject), replace(entry, picture=None))

    def entries(self) -> list[Entry]:
        """Return what is held, oldest first, with the sinks that took it meanwhile."""
        return list(self._entries.values())

    def forget(self, entries: Sequence[Entry]) -> None:
        """Forget what has been stored."""
        for entry in entries:
            self._entries.pop(key_of(entry.subject), None)
        if not self._entries:
            self._refused.clear()

    def waiting(self, sink: str) -> Iterator[Entry]:
        """Yield what the sink may take: of each subject the lowest number it has not taken."""
        seen: set[UUID] = set()
        for (subject, _), entry in sorted(self._entries.items(), key=lambda item: item[0][1]):
            told = sink in entry.delivered or (sink, subject) in self._refused
            if told or entry.silent or subject in seen:
                continue
            seen.add(subject)
            yield entry

    def tell(self, violations: Collection[UUID]) -> None:
        """Hold back no longer what was silent of these violations."""
        for key, entry in self._entries.items():
            if key[0] in violations:
                self._entries[key] = replace(entry, silent=False)

    def holds(self, key: Key) -> bool:
        """Return whether this entry is held here."""
        return key in self._entries

    def delivered(self, key: Key, sink: str) -> bool:
        """Note that a sink took an entry; return False if it is not (or no longer) held here."""
        entry = self._entries.get(key)
        if entry is None:
            return False
        self._entries[key] = replace(entry, delivered=entry.delivered | {sink})
        return True

    def refused(self, key: Key, sink: str) -> bool:
        """Note that a sink will never take an entry, nor what follows it; False as above."""
        if key not in self._entries:
            return False
        self._refused.add((sink, key[0]))
        return True
