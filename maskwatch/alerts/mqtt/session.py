"""One connection to the broker in use, from the canary to the orderly disconnect.

A session verifies that publishing works, publishes all retained state, then delivers. It ends by
raising SinkError when the connection is lost or an acknowledgement does not arrive; every delivery
without an outcome has then failed, and `MqttSink` opens the next session.
"""

from __future__ import annotations

import hashlib
import logging
import math
import secrets
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from maskwatch.alerts.mqtt.canary import verify_publishing
from maskwatch.alerts.mqtt.connection import (
    Acknowledged,
    MqttConnection,
    Received,
    Subscribed,
    packet_bytes,
)
from maskwatch.alerts.mqtt.messages import OFFLINE, MessageBuilder
from maskwatch.alerts.mqtt.payloads import PicturePayload
from maskwatch.alerts.mqtt.published import PublishedTopics
from maskwatch.alerts.mqtt.topics import Message, Topic
from maskwatch.alerts.sink import Delivery, DeliveryOutcome, DeliveryStatus, Report
from maskwatch.config.schema import MqttConfig
from maskwatch.domain import Change
from maskwatch.errors import SinkError
from maskwatch.ipc.loop import HasFileno

log = logging.getLogger(__name__)

# Unacknowledged publications of state and answers, beside the window of deliveries.
_STATE_WINDOW = 20
# The picture of an alert is left out after this many failures: it may be the cause.
_PICTURE_FAILURES = 2


class RetainedTopics:
    """Messages by topic. A message that was not sent yet is replaced by a newer one, never queued."""

    def __init__(self) -> None:
        self._waiting: dict[str, Message] = {}
        self._published: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, topic: str) -> bool:
        """Return whether the topic was published, or waits to be."""
        return topic in self._published or topic in self._waiting

    @property
    def waiting(self) -> list[str]:
        """The topics that wait to be published with a payload."""
        return [topic for topic, message in self._waiting.items() if message.payload]

    def is_cleared(self, topic: str) -> bool:
        """Return whether the newest publication of a topic has cleared it."""
        return topic not in self._waiting and self._published.get(topic) == b""

    def put(self, *messages: Message) -> None:
        """Publish each message soon, unless its topic has this payload already."""
        for message in messages:
            if self._published.get(message.topic) == message.payload:
                self._waiting.pop(message.topic, None)
            else:
                self._waiting[message.topic] = message

    def forget_published(self) -> None:
        """Publish every message that is put from now on, changed or not."""
        self._published.clear()

    def take(self) -> Message | None:
        """Return the message that waits longest, as published; None if none waits."""
        if not self._waiting:
            return None
        topic = next(iter(self._waiting))
        message = self._waiting.pop(topic)
        self._published[topic] = message.payload
        return message


@dataclass(frozen=True, slots=True)
class _Publication:
    """A publication without its acknowledgement; `delivery` is None for pictures and state."""

    topic: str
    deadline: float
    delivery: int | None


class _InFlight:
    """Publications without an acknowledgement, by packet id, oldest first."""

    def __init__(self, ack_timeout: float) -> None:
        self._ack_timeout = ack_timeout
        self._publications: dict[int, _Publication] = {}

    def __len__(self) -> int:
        return len(self._publications)

    def __contains__(self, mid: int) -> bool:
        return mid in self._publications

    def add(self, mid: int, topic: str, delivery: int | None) -> None:
        self._publications[mid] = _Publication(topic, time.monotonic() + self._ack_timeout, delivery)

    def remove(self, mid: int) -> _Publication | None:
        return self._publications.pop(mid, None)

    def count(self, *, deliveries: bool) -> int:
        """Return how many of them are deliveries, or are not."""
        return sum((each.delivery is not None) == deliveries for each in self._publications.values())

    def seconds_left(self) -> float:
        """Return the seconds until the oldest is overdue; infinity if there is none."""
        oldest = next(iter(self._publications.values()), None)
        return math.inf if oldest is None else max(0.0, oldest.deadline - time.monotonic())

    def overdue(self) -> str:
        """Return the topic of the oldest if its acknowledgement is overdue, else ""."""
        return next(iter(self._publications.values())).topic if self.seconds_left() <= 0 else ""


class MqttSession:
    """One connection in use, by one thread.

    Attributes:
        retained: retained topics; what is put there is published after deliveries and before answers.
    """

    def __init__(
        self,
        connection: MqttConnection,
        config: MqttConfig,
        builder: MessageBuilder,
        published: PublishedTopics,
        report: Report,
    ) -> None:
        self.retained = RetainedTopics()
        self._connection = connection
        self._config = config
        self._builder = builder
        self._published = published
        self._report = report
        self._answers: deque[Message] = deque(maxlen=100)
        self._waiting: deque[Delivery] = deque()
        self._without_outcome: set[int] = set()
        self._in_flight = _InFlight(config.ack_timeout)
        self._received: list[Received] = []  # while the subscriptions were confirmed

    def begin(self, subscriptions: Sequence[str]) -> None:
        """Verify that publishing works, then subscribe; return once the broker has confirmed it.

        Raises:
            SinkError: the broker refuses or does not answer.
        """
        probe = self._builder.message(Topic.CANARY, secrets.token_hex(8).encode())
        verify_publishing(self._connection, probe, self._config.ack_timeout)
        if subscriptions:
            mid = self._connection.subscribe(list(subscriptions))
            self._in_flight.add(mid, "the subscriptions", None)
            while mid in self._in_flight:
                self._received = self.poll(self._config.ack_timeout)

    def unsubscribe(self, filters: Sequence[str]) -> None:
        self._connection.unsubscribe(list(filters))

    def deliver(self, delivery: Delivery) -> None:
        """Take a delivery; it has its outcome at the latest when the session ends."""
        self._without_outcome.add(delivery.id)
        self._waiting.append(delivery)
        self._publish_waiting()

    def answer(self, message: Message) -> None:
        """Publish the answer to a command, after all deliveries and state."""
        self._answers.append(message)

    def fits(self, message: Message) -> bool:
        return packet_bytes(message) <= self._connection.max_packet_bytes

    def poll(self, timeout: float, wakeup: HasFileno | None = None) -> list[Received]:
        """Let the connection work until something happens; return the messages that arrived."""
        self._publish_waiting()
        timeout = min(timeout, self._in_flight.seconds_left())
        received, self._received = self._received, []
        for event in self._connection.poll(timeout, wakeup):
            match event:
                case Acknowledged():
                    self._acknowledged(event)
                case Subscribed(mid, refusal):
                    self._in_flight.remove(mid)
                    if refusal:
                        self._warn(f"refuses a subscription: {refusal}")
                case Received():
                    received.append(event)
        if topic := self._in_flight.overdue():
            seconds = self._config.ack_timeout
            address = self._connection.address
            raise SinkError(f"broker {address}: no acknowledgement of {topic} in {seconds:g} s")
        self._publish_waiting()
        return received

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be published or acknowledged."""
        return not (self._waiting or self._answers or self.retained or self._in_flight)

    def close(self, last: Message, deadline: float) -> None:
        """Wait for what is in flight, publish `last` and that the node goes offline, and disconnect."""
        while self._without_outcome and time.monotonic() < deadline:
            self.poll(deadline - time.monotonic())
        self.retained.put(last, self._builder.availability(OFFLINE))
        while not self.idle and time.monotonic() < deadline:
            self.poll(deadline - time.monotonic())
        self._connection.close()

    def fail_pending(self, detail: str) -> None:
        """Report every delivery without an outcome as failed."""
        for delivery in sorted(self._without_outcome):
            self._conclude(delivery, DeliveryStatus.FAILED, detail)

    # --- acknowledgements ---------------------------------------------------------------------------

    def _acknowledged(self, event: Acknowledged) -> None:
        publication = self._in_flight.remove(event.mid)
        if publication is None:
            return
        refusal = event.refusal
        if refusal:
            self._warn(f"refuses {publication.topic}: {refusal}")
        elif self.retained.is_cleared(publication.topic):
            self._published.forget(publication.topic)
        if publication.delivery is not None:
            refused = DeliveryStatus.FAILED if event.transient else DeliveryStatus.REFUSED
            status = DeliveryStatus.ACCEPTED if not refusal else refused
            self._conclude(publication.delivery, status, refusal, correctable=event.correctable)

    def _conclude(
        self, delivery: int, status: DeliveryStatus, detail: str, *, correctable: bool = False
    ) -> None:
        if delivery in self._without_outcome:
            self._without_outcome.discard(delivery)
            self._report(DeliveryOutcome(delivery, status, detail, correctable))

    def _warn(self, problem: str) -> None:
        log.warning("broker %s: %s", self._connection.address, problem)

    # --- publishing ---------------------------------------------------------------------------------

    def _publish_waiting(self) -> None:
        """Publish what the windows allow: deliveries first, then retained state, then answers.

        The reader of an answer to a command then finds the topics as the command left them.
        """
        while self._waiting and self._has_room(deliveries=True):
            self._publish_delivery(self._waiting.popleft())
        if waiting := self.retained.waiting:
            self._published.add(waiting)
        while self._has_room(deliveries=False) and (message := self.retained.take()) is not None:
            self._publish(message)
        while self._answers and self._has_room(deliveries=False):
            self._publish(self._answers.popleft())

    def _has_room(self, *, deliveries: bool) -> bool:
        if len(self._in_flight) >= self._connection.max_in_flight:
            return False
        window = self._config.window if deliveries else _STATE_WINDOW
        return self._in_flight.count(deliveries=deliveries) < window

    def _publish(self, message: Message, delivery: int | None = None) -> None:
        if self.fits(message):
            self._in_flight.add(self._connection.publish(message), message.topic, delivery)
            return
        # The broker would close the connection for it, and every other message would be lost.
        size, limit = packet_bytes(message), self._connection.max_packet_bytes
        detail = f"{size} bytes, and the broker takes no more than {limit}"
        self._warn(f"{message.topic} is not sent: {detail}")
        if delivery is not None:
            self._conclude(delivery, DeliveryStatus.REFUSED, detail, correctable=True)

    def _publish_delivery(self, delivery: Delivery) -> None:
        subject = delivery.subject
        if isinstance(subject, Change):
            picture = self._publish_picture(delivery, subject)
            message = self._builder.violation(subject, stored=delivery.stored, picture=picture)
        else:
            message = self._builder.incident(subject, stored=delivery.stored)
        self._publish(message, delivery.id)

    def _publish_picture(self, delivery: Delivery, change: Change) -> PicturePayload | None:
        """Publish the picture, if configured, just before its alert; it never delays the alert."""
        if delivery.picture is None:
            return None
        path = str(delivery.picture)
        data = self._read_picture(delivery)
        message = self._builder.picture(change, data)
        if not data or not self.fits(message):
            return PicturePayload(path=path, topic=None, sha256=None)
        self._publish(message)
        return PicturePayload(path=path, topic=message.topic, sha256=hashlib.sha256(data).hexdigest())

    def _read_picture(self, delivery: Delivery) -> bytes:
        """Return the bytes to publish; none if there is no room, or earlier attempts failed."""
        if not self._config.send_pictures or delivery.failures >= _PICTURE_FAILURES:
            return b""
        if delivery.picture is None or len(self._in_flight) + 2 > self._connection.max_in_flight:
            return b""
        try:
            return delivery.picture.read_bytes()
        except OSError as error:
            log.warning("alert picture %s cannot be read: %s", delivery.picture, error)
            return b""
