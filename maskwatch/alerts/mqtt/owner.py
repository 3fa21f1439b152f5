"""Decides whose retained topics are on the broker: this daemon's, or another's that runs now.

Each daemon publishes who it is on `owner`, retained, with an id of this run. Another id there means
that another daemon has published under the same root, and may be publishing still.
"""

from __future__ import annotations

import logging
import math
import socket

import msgspec

from maskwatch.alerts.mqtt.connection import Received
from maskwatch.alerts.mqtt.messages import MessageBuilder
from maskwatch.alerts.mqtt.payloads import VERSION, OwnerPayload
from maskwatch.alerts.mqtt.published import PublishedTopics
from maskwatch.alerts.mqtt.topics import Message, Topic
from maskwatch.decoding import decode_json

log = logging.getLogger(__name__)

_MAX_BYTES = 1024
_PAYLOADS = msgspec.json.Decoder(OwnerPayload)


class Ownership:
    """Follows the `owner` topics of the own root and of earlier ones; used by one thread.

    `settled_after`: seconds after which another daemon that still runs would have connected again.
    """

    def __init__(
        self, builder: MessageBuilder, published: PublishedTopics, settled_after: float
    ) -> None:
        self._builder = builder
        self._published = published
        self._settled_after = settled_after
        self._clear_at = math.inf
        self._blocked_until = 0.0
        self._earlier: set[str] = set()

    @property
    def filters(self) -> list[str]:
        """The topics to subscribe to."""
        return [_owner_topic(root) for root in (self._published.root, *self._published.earlier_roots)]

    def message(self, *, running: bool) -> Message:
        """Return the message that states the owner of this root."""
        payload = OwnerPayload(
            version=VERSION,
            node=self._builder.node,
            host=socket.gethostname(),
            instance=self._published.instance,
            running=running,
        )
        return self._builder.owner(payload)

    def begin(self) -> None:
        """Begin with a new connection, on which nothing was seen yet."""
        self._clear_at, self._blocked_until = math.inf, 0.0
        self._earlier.clear()

    def handles(self, message: Received) -> bool:
        return message.topic in self.filters

    def see(self, message: Received, now: float) -> None:
        """Take a message of an `owner` topic."""
        owner = _parse(message.payload)
        if owner is None:
            return
        root = message.topic.rpartition("/")[0]
        own = self._published.was_published_by(owner.instance, root)
        if root != self._published.root:
            self._see_earlier(root, own=own)
        elif owner.instance == self._published.instance:
            # The broker has sent what it retains before this: no other owner is to be seen.
            self._clear_at = max(now, self._blocked_until)
        elif owner.running and not own:
            self._blocked_until = now + self._settled_after

    def may_clear(self, now: float) -> bool:
        """Return whether to clear topics under the own root that are no longer in use.

        Not while another daemon may be using them.
        """
        return now >= self._clear_at

    @property
    def earlier_roots(self) -> frozenset[str]:
        """Roots of earlier configurations that no other daemon has taken since: all to be cleared."""
        return frozenset(self._earlier)

    def _see_earlier(self, root: str, *, own: bool) -> None:
        if own:
            self._earlier.add(root)
        else:
            self._earlier.discard(root)
            self._published.forget_root(root)


def _owner_topic(root: str) -> str:
    return f"{root}/{Topic.OWNER.value.pattern}"


def _parse(data: bytes) -> OwnerPayload | None:
    try:
        return decode_json(_PAYLOADS, data[:_MAX_BYTES])
    except msgspec.DecodeError:  # cleared, or written by someone else
        return None
