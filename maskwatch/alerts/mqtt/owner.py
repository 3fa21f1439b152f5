"""Finds out whether another daemon uses the same `node`, and so whose the retained topics are.

Each daemon publishes its host on `owner`, retained, with an id of this run. Another id there means that
another daemon has published under the same root, and may be publishing still. Two daemons of one `node`
also have one client id: the broker disconnects each when the other connects.
"""

from __future__ import annotations

import logging
import math
import socket

import msgspec

from maskwatch.alerts.mqtt.connection import Ending, Received
from maskwatch.alerts.mqtt.messages import MessageBuilder
from maskwatch.alerts.mqtt.payloads import VERSION, OwnerPayload
from maskwatch.alerts.mqtt.published import PublishedTopics
from maskwatch.alerts.mqtt.topics import Message, Topic
from maskwatch.decoding import decode_json

log = logging.getLogger(__name__)

_MAX_BYTES = 1024
# Connections in a row that the broker closes before another client of this id is suspected.
_SUSPICIOUS = 3
_PAYLOADS = msgspec.json.Decoder(OwnerPayload)


class Ownership:
    """Follows the `owner` topics of the own root and of earlier ones; used by one thread.

    `settled_after`: seconds after which another daemon that still runs would have connected again.

    Attributes:
        conflict: who else uses this node or its client id, and what to do; "" if none is known.
        contested: whether another client has taken over the connection lately.
    """

    def __init__(
        self,
        builder: MessageBuilder,
        published: PublishedTopics,
        client_id: str,
        settled_after: float,
    ) -> None:
        self.conflict = ""
        self.contested = False
        self._builder = builder
        self._published = published
        self._client_id = client_id
        self._host = socket.gethostname()
        self._settled_after = settled_after
        self._settled_at = math.inf
        self._confirmed = False  # in any session: the broker has sent the own message back
        self._closed_in_a_row = 0
        self._echoed = False
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
            host=self._host,
            instance=self._published.instance,
            running=running,
        )
        return self._builder.owner(payload)

    def begin(self, now: float) -> None:
        """Begin with a new connection, on which nothing was seen yet."""
        self._settled_at = now + self._settled_after
        self._echoed = False
        self._blocked_until = self._settled_at if self.conflict else 0.0
        self._earlier.clear()

    def end(self, ending: Ending, now: float) -> None:
        """Take how the connection ended."""
        if ending is Ending.OTHERWISE or now >= self._settled_at:
            self._closed_in_a_row = 0
            return
        self._closed_in_a_row += 1
        self.contested = self.contested or ending is Ending.TAKEN_OVER
        if self.contested and not self.conflict:
            self._report(f"another client connects as {self._client_id}, and replaces this one")
        elif self._closed_in_a_row >= _SUSPICIOUS and not self.conflict:
            times = f"{self._closed_in_a_row} times in a row"
            self._report(
                f"closes the connection soon after it accepts it, {times}: another client may "
                f"connect as {self._client_id}"
            )

    def run_due(self, now: float) -> None:
        """End a conflict once no other client has taken over the connection for long enough."""
        if self.conflict and now >= self._settled_at:
            self._resolve()

    def handles(self, message: Received) -> bool:
        return message.topic in self.filters

    def see(self, message: Received, now: float) -> None:
        """Take a message of an `owner` topic."""
        owner = parse_owner(message.payload)
        if owner is None:
            return
        root = message.topic.rpartition("/")[0]
        own = self._published.was_published_by(owner.instance, root)
        if root != self._published.root:
            self._see_earlier(root, own=own)
        elif owner.instance == self._published.instance:
            # The broker has sent what it retains before this: no other owner is to be seen.
            self._echoed = self._confirmed = True
        elif not own:
            self._see_other(owner, now)

    def may_clear(self, now: float) -> bool:
        """Return whether to clear topics under the own root that are no longer in use.

        Not while another daemon may be using them.
        """
        return self._echoed and now >= self._blocked_until

    @property
    def earlier_roots(self) -> frozenset[str]:
        """Roots of earlier configurations that no other daemon has taken since: all to be cleared."""
        return frozenset(self._earlier)

    def _see_other(self, owner: OwnerPayload, now: float) -> None:
        if not owner.running:
            self._resolve()
            return
        self._blocked_until = now + self._settled_after
        if self._confirmed:  # it has published since: it was not only there before
            self.contested = True
            host, node = "".join(filter(str.isprintable, owner.host)), self._builder.node
            self._report(
                f"another daemon, on host {host}, uses the node {node!r}: they disconnect each other"
            )

    def _report(self, problem: str) -> None:
        advice = f"give each daemon its own `node` (this one is on host {self._host})"
        conflict = f"broker {self._published.broker}: {problem}: {advice}"
        if conflict != self.conflict:
            log.warning("%s", conflict)
        self.conflict = conflict

    def _resolve(self) -> None:
        if self.conflict:
            log.info("broker %s: no other client uses this node any more", self._published.broker)
        self.conflict, self.contested, self._blocked_until = "", False, 0.0
        self._closed_in_a_row = 0

    def _see_earlier(self, root: str, *, own: bool) -> None:
        if own:
            self._earlier.add(root)
        else:
            self._earlier.discard(root)
            self._published.forget_root(root)


def _owner_topic(root: str) -> str:
    return f"{root}/{Topic.OWNER.value.pattern}"


def parse_owner(data: bytes) -> OwnerPayload | None:
    """Return the payload of an `owner` topic; None if it is cleared or not valid."""
    try:
        return decode_json(_PAYLOADS, data[:_MAX_BYTES])
    except msgspec.DecodeError:
        return None
