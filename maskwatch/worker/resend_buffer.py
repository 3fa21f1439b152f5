"""Changes that the recorder has not acknowledged yet: bounded, counted, in order."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from uuid import UUID

from maskwatch.domain import Change

Key = tuple[UUID, int]


@dataclass(slots=True)
class UnacknowledgedChange:
    """A change, when it was added (monotonic seconds), and whether the present recorder has it."""

    change: Change
    picture: bytes | None
    since: float
    sent: bool = False

    @property
    def picture_bytes(self) -> int:
        return len(self.picture or b"")


class ResendBuffer:
    """Keeps changes until the recorder has them on disk; not thread-safe.

    Over `max_picture_bytes`, the oldest changes lose their pictures, since a violation matters more
    than its picture. Over `max_changes`, the oldest are dropped and counted.

    Attributes:
        dropped: changes dropped since the start.
    """

    def __init__(self, max_changes: int = 2000, max_picture_bytes: int = 64 * 1024 * 1024) -> None:
        self.dropped = 0
        self._max_changes = max_changes
        self._max_picture_bytes = max_picture_bytes
        self._changes: OrderedDict[Key, UnacknowledgedChange] = OrderedDict()
        self._picture_bytes = 0

    def __len__(self) -> int:
        return len(self._changes)

    def __contains__(self, key: Key) -> bool:
        return key in self._changes

    def add(self, change: Change, picture: bytes | None, now: float) -> Key:
        """Keep a change; return the key that its acknowledgement will have."""
        key = (change.violation.id, change.number)
        self._changes[key] = UnacknowledgedChange(change, picture, now)
        self._picture_bytes += len(picture or b"")
        self._keep_bounds()
        return key

    def take_unsent(self) -> list[UnacknowledgedChange]:
        """Return what the present recorder was not sent, oldest first, and mark it as sent."""
        unsent = [entry for entry in self._changes.values() if not entry.sent]
        for entry in unsent:
            entry.sent = True
        return unsent

    def mark_unsent(self) -> None:
        """Have everything sent again: there is no recorder, or a new one."""
        for entry in self._changes.values():
            entry.sent = False

    def acknowledged(self, key: Key) -> UnacknowledgedChange | None:
        """Remove what the recorder has on disk; return it, or None if it was not kept."""
        entry = self._changes.pop(key, None)
        if entry is not None:
            self._picture_bytes -= entry.picture_bytes
        return entry

    def _keep_bounds(self) -> None:
        if self._picture_bytes > self._max_picture_bytes:
            for entry in self._changes.values():
                if self._picture_bytes <= self._max_picture_bytes:
                    break
                self._picture_bytes -= entry.picture_bytes
                entry.picture = None
        while len(self._changes) > self._max_changes:
            _, entry = self._changes.popitem(last=False)
            self._picture_bytes -= entry.picture_bytes
            self.dropped += 1
