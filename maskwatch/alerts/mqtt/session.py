"""What happens on one connection to the broker, from the canary to the goodbye.

A session proves that publishing works, restates all retained state, then delivers. It ends by
raising SinkError when the connection is lost or an acknowledgement does not come; every delivery
that has no outcome by then has failed, and `MqttSink` opens the next session.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from maskwatch.alerts.mqtt.connection import (
    Acknowledged,
    Event,
    HasFileno,
    MqttConnection,
    Received,
    Subscribed,
    packet_bytes,
)
from maskwatch.alerts.mqtt.messages import OFFLINE, ONLINE, MessageBuilder
from maskwatch.alerts.mqtt.payloads import PicturePayload
from maskwatch.alerts.mqtt.topics import Message, Topic
from maskwatch.alerts.sink import Delivery, DeliveryOutcome, DeliveryStatus, Report
from maskwatch.config.schema import MqttConfig
from maskwatch.domain import Change
from maskwatch.errors import SinkError

__all__ = ["MqttSession", "RetainedTopics"]


class RetainedTopics:
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


log = logging.getLogger(__name__)

# Publications of state and answers that may be unacknowledged beside the window of deliveries.
_STATE_WINDOW = 20
# A picture that went along with two failed attempts is left out of the third.
_PICTURE_ATTEMPTS = 2


@dataclass(frozen=True, slots=True)
class _Pending:
    """A publication without its acknowledgement; `delivery` is None for pictures and state."""

    topic: str
    deadline: float
    delivery: int | None


class MqttSession:
    """One connection in use. All calls come from one thread."""

    def __init__(
        self, link: MqttConnection, config: MqttConfig, composer: MessageBuilder, report: Report
    ) -> None:
        self._link = link
        self._config = config
        self._composer = composer
        self._report = report
        self._shelf = RetainedTopics()
        self._answers: deque[Message] = deque(maxlen=100)
        self._waiting: deque[Delivery] = deque()
        self._taken: set[int] = set()
        self._in_flight: dict[int, _Pending] = {}
        self._events: deque[Event] = deque()

    # --- the beginning ----------------------------------------------------------------------------

    def begin(self, subscriptions: Sequence[str]) -> None:
        """Prove that publishing works, then subscribe."""
        self._sing()
        if subscriptions:
            self._link.subscribe(list(subscriptions))

    def unsubscribe(self, filters: Sequence[str]) -> None:
        """Want no more messages of these topics."""
        self._link.unsubscribe(list(filters))

    def _sing(self) -> None:
        """Publish to ourselves: a 3.1.1 broker acknowledges also what its ACL drops."""
        nonce = secrets.token_hex(8).encode()
        song = self._composer.message(Topic.CANARY, nonce)
        deadline = time.monotonic() + self._config.ack_timeout
        asked = self._link.subscribe([song.topic])
        while not isinstance(event := self._next(deadline), Subscribed) or event.mid != asked:
            if event is None:
                raise SinkError(f"broker {self._link.where}: no answer to a subscription")
        if event.refusal:
            raise self._unheard(f"refuses a subscription to {song.topic}: {event.refusal}")
        self._listen(self._link.publish(song), song, deadline)

    def _listen(self, sent: int, song: Message, deadline: float) -> None:
        acknowledged = heard = False
        while not (acknowledged and heard):
            match self._next(deadline):
                case Acknowledged(mid, refusal) if mid == sent:
                    if refusal:
                        raise self._unheard(f"refuses what is published to {song.topic}: {refusal}")
                    acknowledged = True
                case Received(topic, payload) if (topic, payload) == (song.topic, song.payload):
                    heard = True
                case None if acknowledged:
                    raise self._unheard(f"drops what is published to {song.topic}")
                case None:
                    raise SinkError(f"broker {self._link.where}: does not acknowledge {song.topic}")

    def _unheard(self, what: str) -> SinkError:
        root = self._composer.topics.root
        advice = f"its ACL must let this user read and write {root}/#"
        return SinkError(f"broker {self._link.where}: {what}; {advice}")

    def _next(self, deadline: float) -> Event | None:
        """Return the next event; None when the deadline has passed."""
        while not self._events:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self._events.extend(self._link.poll(left))
        return self._events.popleft()

    # --- what is taken ----------------------------------------------------------------------------

    def deliver(self, delivery: Delivery) -> None:
        """Take a delivery; it has its outcome at the latest when the session ends."""
        self._taken.add(delivery.id)
        self._waiting.append(delivery)
        self._pump()

    def show(self, messages: Iterable[Message]) -> None:
        """Have retained topics show this; what they show already is not sent again."""
        for message in messages:
            self._shelf.put(message)

    def show_again(self) -> None:
        """Have what is shown from now on be sent, changed or not."""
        self._shelf.forget()

    def shows(self, topic: str) -> bool:
        """Return whether this session has given a retained topic its content."""
        return self._shelf.shows(topic)

    def online(self) -> None:
        """Say that the node is there, after everything that was shown before."""
        self._shelf.put(self._composer.availability(ONLINE))
        self._pump()

    def fits(self, message: Message) -> bool:
        """Return whether the broker takes a message of this size."""
        return packet_bytes(message) <= self._link.most_bytes

    def tell(self, message: Message) -> None:
        """Publish something that is neither a delivery nor retained."""
        self._answers.append(message)

    # --- the middle -------------------------------------------------------------------------------

    def turn(self, timeout: float, wake: HasFileno | None = None) -> list[Received]:
        """Let the connection work until something happens; return what arrived."""
        self._pump()
        oldest = next(iter(self._in_flight.values()), None)
        if oldest is not None:
            timeout = min(timeout, max(0.0, oldest.deadline - time.monotonic()))
        self._events.extend(self._link.poll(timeout, wake))
        received = self._take_events()
        self._check_deadline()
        self._pump()
        return received

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be sent or acknowledged."""
        return not (self._waiting or self._answers or len(self._shelf) or self._in_flight)

    def _take_events(self) -> list[Received]:
        received = []
        while self._events:
            match self._events.popleft():
                case Acknowledged(mid, refusal, passing):
                    self._acknowledged(mid, refusal, passing=passing)
                case Subscribed(_, refusal):
                    if refusal:
                        log.warning("broker %s: refuses a subscription: %s", self._link.where, refusal)
                case Received() as message:
                    received.append(message)
        return received

    def _acknowledged(self, mid: int, refusal: str, *, passing: bool) -> None:
        pending = self._in_flight.pop(mid, None)
        if pending is None:
            return
        if refusal:
            log.warning("broker %s: refuses %s: %s", self._link.where, pending.topic, refusal)
        if pending.delivery is not None:
            refused = DeliveryStatus.FAILED if passing else DeliveryStatus.REFUSED
            fate = DeliveryStatus.ACCEPTED if not refusal else refused
            self._conclude(pending.delivery, fate, refusal)

    def _conclude(self, delivery: int, fate: DeliveryStatus, detail: str) -> None:
        if delivery in self._taken:
            self._taken.discard(delivery)
            self._report(DeliveryOutcome(delivery, fate, detail))

    def _check_deadline(self) -> None:
        oldest = next(iter(self._in_flight.values()), None)
        if oldest is not None and time.monotonic() >= oldest.deadline:
            seconds = self._config.ack_timeout
            raise SinkError(
                f"broker {self._link.where}: no acknowledgement of {oldest.topic} in {seconds:g} s"
            )

    # --- what is sent -----------------------------------------------------------------------------

    def _pump(self) -> None:
        """Send what the windows allow: deliveries first, then retained state, then answers.

        So who reads the answer to a command finds the topics as the command left them.
        """
        while self._waiting and self._room(deliveries=True):
            self._send_delivery(self._waiting.popleft())
        while self._room(deliveries=False) and (message := self._shelf.take()) is not None:
            self._send(message)
        while self._answers and self._room(deliveries=False):
            self._send(self._answers.popleft())

    def _room(self, *, deliveries: bool) -> bool:
        if len(self._in_flight) >= self._link.most_in_flight:
            return False
        own = sum(1 for p in self._in_flight.values() if (p.delivery is not None) == deliveries)
        return own < (self._config.window if deliveries else _STATE_WINDOW)

    def _send(self, message: Message, delivery: int | None = None) -> None:
        if not self.fits(message):  # the broker would cut us off for it, and all else with it
            self._keep_back(message, delivery)
            return
        deadline = time.monotonic() + self._config.ack_timeout
        self._in_flight[self._link.publish(message)] = _Pending(message.topic, deadline, delivery)

    def _keep_back(self, message: Message, delivery: int | None) -> None:
        size, most = packet_bytes(message), self._link.most_bytes
        detail = f"{size} bytes, and the broker takes no more than {most}"
        log.warning("broker %s: %s is not sent: %s", self._link.where, message.topic, detail)
        if delivery is not None:
            self._conclude(delivery, DeliveryStatus.REFUSED, detail)

    def _send_delivery(self, delivery: Delivery) -> None:
        subject = delivery.subject
        if isinstance(subject, Change):
            picture = self._send_picture(delivery, subject)
            message = self._composer.violation(subject, stored=delivery.stored, picture=picture)
        else:
            message = self._composer.incident(subject, stored=delivery.stored)
        self._send(message, delivery.id)

    def _send_picture(self, delivery: Delivery, change: Change) -> PicturePayload | None:
        """Publish the picture, if asked, just before its alert; it never holds the alert up."""
        if delivery.picture is None:
            return None
        path = str(delivery.picture)
        data = self._picture(delivery)
        message = self._composer.picture(change, data)
        if not data or not self.fits(message):
            return PicturePayload(path=path, topic=None, sha256=None)
        self._send(message)
        return PicturePayload(path=path, topic=message.topic, sha256=hashlib.sha256(data).hexdigest())

    def _picture(self, delivery: Delivery) -> bytes:
        """Return the bytes to publish; none if there is no room, or it failed before."""
        if not self._config.send_pictures or delivery.attempt > _PICTURE_ATTEMPTS:
            return b""
        if delivery.picture is None or len(self._in_flight) + 2 > self._link.most_in_flight:
            return b""
        try:
            return delivery.picture.read_bytes()
        except OSError as error:
            log.warning("alert picture %s cannot be read: %s", delivery.picture, error)
            return b""

    # --- the end ----------------------------------------------------------------------------------

    def part(self, deadline: float) -> None:
        """Wait for what is in flight, say that the node goes offline, and close."""
        while self._taken and time.monotonic() < deadline:
            self.turn(deadline - time.monotonic())
        self._shelf.put(self._composer.availability(OFFLINE))
        while not self.idle and time.monotonic() < deadline:
            self.turn(deadline - time.monotonic())
        self._link.close()

    def fail(self, detail: str) -> None:
        """Report every delivery that has no outcome as failed."""
        for delivery in sorted(self._taken):
            self._conclude(delivery, DeliveryStatus.FAILED, detail)
