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
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from maskwatch.alerts import payloads
from maskwatch.alerts.commands import Answer, CommandDesk
from maskwatch.alerts.link import (
    Acknowledged,
    Event,
    HasFileno,
    Link,
    Message,
    Received,
    Subscribed,
)
from maskwatch.alerts.payloads import PicturePayload
from maskwatch.alerts.shelf import Shelf
from maskwatch.alerts.sink import Delivery, Fate, Outcome, Report, StandingState
from maskwatch.alerts.topics import Topic, Topics
from maskwatch.config.schema import MqttConfig
from maskwatch.domain import CameraStatus, Change, Incident, OccupancyMinute
from maskwatch.errors import SinkError
from maskwatch.ipc.messages import Command

__all__ = ["OFFLINE", "ONLINE", "Session", "availability"]

log = logging.getLogger(__name__)

ONLINE = b"online"
OFFLINE = b"offline"

# Publications of state and answers that may be unacknowledged beside the window of deliveries.
_STATE_WINDOW = 20
# Lists of what is open are asked for anew after a delivery, this often at most.
_REFRESH = 0.5
# A picture that went along with two failed attempts is left out of the third.
_PICTURE_ATTEMPTS = 2
# Bytes of a packet that are not its payload: topic, properties and the header, generously.
_OVERHEAD = 2048


def availability(topics: Topics, payload: bytes) -> Message:
    """Return the retained message that says whether the node is there."""
    row = Topic.STATUS.value
    return Message(topics.of(Topic.STATUS), payload, retain=True, content=row.content)


@dataclass(frozen=True, slots=True)
class _Pending:
    """A publication without its acknowledgement; `delivery` is None for pictures and state."""

    topic: str
    deadline: float
    delivery: int | None


class Session:
    """One connection in use. All calls come from one thread."""

    def __init__(
        self,
        link: Link,
        config: MqttConfig,
        node: str,
        *,
        topics: Topics,
        desk: CommandDesk,
        report: Report,
        standing: Callable[[], StandingState],
        run: Callable[[Command], None],
    ) -> None:
        self._link = link
        self._config = config
        self._node = node
        self._topics = topics
        self._desk = desk
        self._report = report
        self._standing = standing
        self._run = run
        self._shelf = Shelf()
        self._answers: deque[Message] = deque(maxlen=100)
        self._waiting: deque[Delivery] = deque()
        self._taken: set[int] = set()
        self._in_flight: dict[int, _Pending] = {}
        self._events: deque[Event] = deque()
        self._refresh_at: float | None = None
        self._refreshed = 0.0

    # --- the beginning ----------------------------------------------------------------------------

    def begin(self, discovery: Iterable[Message], subscriptions: list[str]) -> None:
        """Prove that publishing works, then subscribe and restate everything that is retained."""
        self._sing()
        if subscriptions:
            self._link.subscribe(subscriptions)
        self.restate(discovery)

    def restate(self, discovery: Iterable[Message] = ()) -> None:
        """Have every retained topic show the present state; that the node is there comes last."""
        for message in discovery:
            self._shelf.put(message)
        state = self._standing()
        for status in state.cameras:
            self.show_camera(status)
        for minute in state.occupancy.values():
            self.show_occupancy(minute)
        self._show_open(state)
        self._shelf.put(availability(self._topics, ONLINE))
        self._pump()

    def _sing(self) -> None:
        """Publish to ourselves: a 3.1.1 broker acknowledges also what its ACL drops."""
        topic = self._topics.of(Topic.CANARY)
        row = Topic.CANARY.value
        deadline = time.monotonic() + self._config.ack_timeout
        asked = self._link.subscribe([topic])
        while not isinstance(event := self._next(deadline), Subscribed) or event.mid != asked:
            if event is None:
                raise SinkError(f"broker {self._link.where}: no answer to a subscription to {topic}")
        if event.refusal:
            raise self._unheard(f"refuses a subscription to {topic}: {event.refusal}")
        nonce = secrets.token_hex(8).encode()
        sent = self._link.publish(Message(topic, nonce, content=row.content, expiry=row.expiry))
        self._listen(sent, topic, nonce, deadline)

    def _listen(self, sent: int, topic: str, nonce: bytes, deadline: float) -> None:
        acknowledged = heard = False
        while not (acknowledged and heard):
            match self._next(deadline):
                case Acknowledged(mid, refusal) if mid == sent:
                    if refusal:
                        raise self._unheard(f"refuses what is published to {topic}: {refusal}")
                    acknowledged = True
                case Received(there, payload) if there == topic and payload == nonce:
                    heard = True
                case None if acknowledged:
                    raise self._unheard(f"drops what is published to {topic}")
                case None:
                    raise SinkError(f"broker {self._link.where}: does not acknowledge {topic}")

    def _unheard(self, what: str) -> SinkError:
        root = self._topics.root
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
        if self._refresh_at is None:
            self._refresh_at = max(time.monotonic(), self._refreshed + _REFRESH)
        self._pump()

    def show_camera(self, status: CameraStatus) -> None:
        """Show a camera's state."""
        payload = payloads.camera_state(self._node, status)
        self._put(Topic.CAMERA_STATE, status.camera, payloads.encode(payload))

    def show_occupancy(self, minute: OccupancyMinute) -> None:
        """Show the last counted minute."""
        payload = payloads.encode(payloads.occupancy(self._node, minute))
        topic = Topic.ZONE_OCCUPANCY if minute.zone else Topic.OCCUPANCY
        self._put(topic, minute.camera, payload, zone=minute.zone)

    def answer(self, answer: Answer | None) -> None:
        """Publish how a command ended."""
        if answer is None:
            return
        message = self._message(Topic.COMMAND_RESULT, payloads.encode(answer.result))
        self._answers.append(replace(message, correlation=answer.correlation))

    def _show_open(self, state: StandingState) -> None:
        self._refreshed, self._refresh_at = time.monotonic(), None
        violations: dict[str, list[Change]] = {status.camera: [] for status in state.cameras}
        incidents: dict[str, list[Incident]] = {"": [], **{name: [] for name in violations}}
        for change in state.open_violations:
            violations.setdefault(change.violation.camera, []).append(change)
        for incident in state.open_incidents:
            incidents.setdefault(incident.camera, []).append(incident)
        for camera, changes in violations.items():
            payload = payloads.encode(payloads.open_violations(self._node, camera, changes))
            self._put(Topic.OPEN_VIOLATIONS, camera, payload)
        for camera, rows in incidents.items():
            payload = payloads.encode(payloads.open_incidents(self._node, camera, rows))
            self._put(Topic.OPEN_INCIDENTS if camera else Topic.NODE_OPEN_INCIDENTS, camera, payload)

    def _put(self, topic: Topic, camera: str, payload: bytes, zone: str = "") -> None:
        self._shelf.put(self._message(topic, payload, camera, zone))

    def _message(self, topic: Topic, payload: bytes, camera: str = "", zone: str = "") -> Message:
        row = topic.value
        return Message(
            self._topics.of(topic, camera=camera, zone=zone),
            payload,
            retain=row.retained,
            content=row.content,
            expiry=row.expiry,
        )

    # --- the middle -------------------------------------------------------------------------------

    def turn(self, timeout: float, wake: HasFileno | None = None) -> list[Received]:
        """Let the connection work until something happens; return messages that are not commands."""
        self._pump()
        self._events.extend(self._link.poll(min(timeout, self._patience()), wake))
        others = [event for event in self._take_events() if not self._command(event)]
        now = time.monotonic()
        for answer in self._desk.overdue(now):
            self.answer(answer)
        if self._refresh_at is not None and now >= self._refresh_at:
            self._show_open(self._standing())
        self._check_deadline(now)
        self._pump()
        return others

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be sent or acknowledged."""
        return not (self._waiting or self._answers or len(self._shelf) or self._in_flight)

    def _patience(self) -> float:
        """Seconds until something is due of itself."""
        dues = [time.monotonic() + 1.0]
        if self._in_flight:
            dues.append(next(iter(self._in_flight.values())).deadline)
        if self._refresh_at is not None:
            dues.append(self._refresh_at)
        return max(0.0, min(dues) - time.monotonic())

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

    def _command(self, message: Received) -> bool:
        """Take the message if it is addressed to the command desk."""
        if not self._desk.concerns(message):
            return False
        taken = self._desk.take(message, time.monotonic())
        if isinstance(taken, Answer):
            self.answer(taken)
        elif taken is not None:
            self._run(taken)
        return True

    def _acknowledged(self, mid: int, refusal: str, *, passing: bool) -> None:
        pending = self._in_flight.pop(mid, None)
        if pending is None:
            return
        if refusal:
            log.warning("broker %s: refuses %s: %s", self._link.where, pending.topic, refusal)
        if pending.delivery is not None:
            fate = Fate.ACCEPTED if not refusal else Fate.FAILED if passing else Fate.REFUSED
            self._conclude(pending.delivery, fate, refusal)

    def _conclude(self, delivery: int, fate: Fate, detail: str) -> None:
        if delivery in self._taken:
            self._taken.discard(delivery)
            self._report(Outcome(delivery, fate, detail))

    def _check_deadline(self, now: float) -> None:
        oldest = next(iter(self._in_flight.values()), None)
        if oldest is not None and now >= oldest.deadline:
            seconds = self._config.ack_timeout
            raise SinkError(
                f"broker {self._link.where}: no acknowledgement of {oldest.topic} in {seconds:g} s"
            )

    # --- what is sent -----------------------------------------------------------------------------

    def _pump(self) -> None:
        """Send what the windows allow: deliveries first, then answers, then retained state."""
        while self._waiting and self._room(deliveries=True):
            self._send_delivery(self._waiting.popleft())
        while self._answers and self._room(deliveries=False):
            self._send(self._answers.popleft())
        while self._room(deliveries=False) and (message := self._shelf.take()) is not None:
            self._send(message)

    def _room(self, *, deliveries: bool) -> bool:
        if len(self._in_flight) >= self._link.most_in_flight:
            return False
        own = sum(1 for p in self._in_flight.values() if (p.delivery is not None) == deliveries)
        return own < (self._config.window if deliveries else _STATE_WINDOW)

    def _send(self, message: Message, delivery: int | None = None) -> None:
        deadline = time.monotonic() + self._config.ack_timeout
        self._in_flight[self._link.publish(message)] = _Pending(message.topic, deadline, delivery)

    def _send_delivery(self, delivery: Delivery) -> None:
        subject = delivery.subject
        if isinstance(subject, Change):
            picture = self._send_picture(delivery, subject)
            payload = payloads.violation(self._node, subject, stored=delivery.stored, picture=picture)
            message = self._message(Topic.VIOLATION, payloads.encode(payload), subject.violation.camera)
        else:
            encoded = payloads.encode(payloads.incident(self._node, subject, stored=delivery.stored))
            topic = Topic.INCIDENT if subject.camera else Topic.NODE_INCIDENT
            message = self._message(topic, encoded, subject.camera)
        self._send(message, delivery.id)

    def _send_picture(self, delivery: Delivery, change: Change) -> PicturePayload | None:
        """Publish the picture, if asked, just before its alert; it never holds the alert up."""
        if delivery.picture is None:
            return None
        path = str(delivery.picture)
        data = self._picture(delivery)
        if data is None:
            return PicturePayload(path=path, topic=None, sha256=None)
        message = self._message(Topic.PICTURE, data, change.violation.camera)
        self._send(replace(message, correlation=change.alert_id.encode()))
        return PicturePayload(path=path, topic=message.topic, sha256=hashlib.sha256(data).hexdigest())

    def _picture(self, delivery: Delivery) -> bytes | None:
        """Return the bytes to publish; None if there is no room, or it failed before."""
        if not self._config.send_pictures or delivery.attempt > _PICTURE_ATTEMPTS:
            return None
        if delivery.picture is None or len(self._in_flight) + 2 > self._link.most_in_flight:
            return None
        try:
            data = delivery.picture.read_bytes()
        except OSError as error:
            log.warning("alert picture %s cannot be read: %s", delivery.picture, error)
            return None
        return data if len(data) + _OVERHEAD <= self._link.most_bytes else None

    # --- the end ----------------------------------------------------------------------------------

    def part(self, deadline: float) -> None:
        """Wait for what is in flight, say that the node goes offline, and close."""
        while self._taken and time.monotonic() < deadline:
            self.turn(deadline - time.monotonic())
        self._shelf.put(availability(self._topics, OFFLINE))
        while not self.idle and time.monotonic() < deadline:
            self.turn(deadline - time.monotonic())
        self._link.close()

    def fail(self, detail: str) -> None:
        """Report every delivery that has no outcome as failed."""
        for delivery in sorted(self._taken):
            self._conclude(delivery, Fate.FAILED, detail)
