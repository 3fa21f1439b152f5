"""The retained topics: what each must show, the newest value only, sent once until it changes."""

from __future__ import annotations

from maskwatch.alerts.topics import Message

__all__ = ["Shelf"]


class Shelf:
    """Messages by topic. What is put before it could be sent is replaced, never queued."""

    def __init__(self) -> None:
        self._waiting: dict[str, Message] = {}
        self._shown: dict[str, bytes] = {}

    def __len__(self) -> int:
        """Return how many topics wait to be sent."""
        return len(self._waiting)

    def put(self, message: Message) -> None:
        """Have the topic show this; nothing happens if it does already."""
        if self._shown.get(message.topic) == message.payload:
            self._waiting.pop(message.topic, None)
        else:
            self._waiting[message.topic] = message

    def shows(self, topic: str) -> bool:
        """Return whether the topic shows something, or soon will."""
        return topic in self._shown or topic in self._waiting

    def forget(self) -> None:
        """Have everything that is put again be sent again, changed or not."""
        self._shown.clear()

    def take(self) -> Message | None:
        """Return the message that waits longest, as sent; None if none waits."""
        if not self._waiting:
            return None
        topic = next(iter(self._waiting))
        message = self._waiting.pop(topic)
        self._shown[topic] = message.payload
        return message
