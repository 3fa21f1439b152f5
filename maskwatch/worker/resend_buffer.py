"""What a worker has decided and the recorder has not acknowledged yet: bounded, counted, in order."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from uuid import UUID

from maskwatch.domain import Change

__all__ = ["ResendBuffer", "UnacknowledgedChange"]

Key = tuple[UUID, int]


@dataclass(slots=True)
class UnacknowledgedChange:
    """A change on its way: when it was handed over (monotonic seconds), and whether it is sent."""

    change: Change
    picture: bytes | None
    since: float
    sent: bool = False


class ResendBuffer:
    """Keeps changes until the recorder has them on disk; not thread-safe.

    Over `most_bytes` of pictures, the oldest go without theirs: a violation stands without it.
    Over `most` changes, the oldest are given up, and counted.

    Attributes:
        dropped: changes given up since the beginning.

    """

    def __init__(self, most: int = 2000, most_bytes: int = 64 * 1024 * 1024) -> None:
        self.dropped = 0
        self._most = most
        self._most_bytes = most_bytes
        self._waiting: OrderedDict[Key, UnacknowledgedChange] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, key: Key) -> bool:
        return key in self._waiting

    def add(self, change: Change, picture: bytes | None, now: float) -> Key:
        """Keep a change; return the key that its acknowledgement will name."""
        key = (change.violation.id, change.number)
        self._waiting[key] = UnacknowledgedChange(change, picture, now)
        self._bytes += len(picture or b"")
        self._shed()
        return key

    def unsent(self) -> list[UnacknowledgedChange]:
        """Return what has not been sent to the present recorder, oldest first; it counts as sent."""
        found = [waiting for waiting in self._waiting.values() if not waiting.sent]
        for waiting in found:
            waiting.sent = True
        return found

    def recorder_lost(self) -> None:
        """The recorder is gone: a new one must be sent everything again."""
        for waiting in self._waiting.values():
            waiting.sent = False

    def acknowledged(self, key: Key) -> UnacknowledgedChange | None:
        """Forget what the recorder has on disk; return it, or None if it was not waited for."""
        waiting = self._waiting.pop(key, None)
        if waiting is not None:
            self._bytes -= len(waiting.picture or b"")
        return waiting

    def _shed(self) -> None:
        if self._bytes > self._most_bytes:
            for waiting in self._waiting.values():
                if self._bytes <= self._most_bytes:
                    break
                self._bytes -= len(waiting.picture or b"")
                waiting.picture = None
        while len(self._waiting) > self._most:
            _, waiting = self._waiting.popitem(last=False)
            self._bytes -= len(waiting.picture or b"")
            self.dropped += 1
