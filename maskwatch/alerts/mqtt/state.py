"""The node's state on the broker: retained topics, discovery, and the answers to commands.

It outlives connections: each session publishes it again. All calls come from one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from maskwatch.alerts.mqtt.commands import MqttCommandHandler
from maskwatch.alerts.mqtt.connection import Received
from maskwatch.alerts.mqtt.home_assistant import HomeAssistant
from maskwatch.alerts.mqtt.messages import ONLINE, MessageBuilder
from maskwatch.alerts.mqtt.owner import Ownership
from maskwatch.alerts.mqtt.published import PublishedTopics
from maskwatch.alerts.mqtt.session import MqttSession
from maskwatch.alerts.mqtt.stale_topics import StaleTopics
from maskwatch.alerts.mqtt.topics import Message, Topic
from maskwatch.alerts.sink import CameraSnapshot, StateSnapshot
from maskwatch.config.schema import Config
from maskwatch.domain import CameraStatus, OccupancyMinute, Snooze
from maskwatch.ipc.messages import Command, CommandResult

# Lists of what is open are published again after a delivery, this often at most.
_REFRESH_INTERVAL = 0.5
# How long after a connect retained messages are checked for stale topics.
_STALE_CHECK_SECONDS = 5.0
_SNAPSHOT_SECONDS = 86_400.0

StateChange = CameraStatus | OccupancyMinute | CameraSnapshot


class StatePublisher:
    """Publishes the state, and passes on commands and their results."""

    def __init__(
        self,
        config: Config,
        builder: MessageBuilder,
        published: PublishedTopics,
        ownership: Ownership,
        current_state: Callable[[], StateSnapshot],
        run_command: Callable[[Command], None],
    ) -> None:
        home = HomeAssistant(config) if config.mqtt.home_assistant else None
        self._builder = builder
        self._published = published
        self._ownership = ownership
        self._current_state = current_state
        self._run_command = run_command
        self._cameras = tuple(camera.name for camera in config.cameras)
        self._commands = MqttCommandHandler(builder) if config.mqtt.commands else None
        self._home = home
        self._stale = StaleTopics(builder.topics, config.cameras, home)
        self._minutes: dict[tuple[str, str], OccupancyMinute] = {}
        self._snapshots: dict[str, tuple[CameraSnapshot, float]] = {}
        self._oversized_snapshot = ""
        self._unsent_answers: list[Message] = []
        self._refreshed_at = 0.0
        self._refresh_at: float | None = None
        self._stale_check_until: float | None = None
        self._leftovers: set[str] = set()
        self._cleared_roots: set[str] = set()

    @property
    def subscriptions(self) -> list[str]:
        topics = self._builder.topics
        filters = [*self._ownership.filters, *self._stale.filters]
        if self._commands is not None:
            filters += [topics.filter(topic) for topic in (Topic.CAMERA_COMMAND, Topic.NODE_COMMAND)]
        if self._home is not None:
            filters.append(self._home.birth_topic)
        return filters

    @property
    def last_message(self) -> Message:
        """What an orderly end publishes: this daemon no longer runs."""
        return self._ownership.message(running=False)

    def begin(self) -> None:
        """Begin with a new session: what earlier ones left over is looked for again."""
        self._ownership.begin(time.monotonic())
        self._leftovers.clear()
        self._cleared_roots.clear()

    def publish_all(self, session: MqttSession) -> None:
        """Publish all state again, changed or not; that the node is online comes last."""
        retained, builder, state = session.retained, self._builder, self._current_state()
        for minute in state.occupancy.values():
            self._minutes.setdefault((minute.camera, minute.zone), minute)
        retained.forget_published()
        retained.put(self._ownership.message(running=True))
        if self._home is not None:
            retained.put(*self._home.messages())
        retained.put(*map(builder.camera_state, state.cameras))
        retained.put(*map(builder.occupancy, self._minutes.values()))
        now = time.monotonic()
        for snapshot, until in self._snapshots.values():
            retained.put(builder.snapshot(snapshot, until - now))
        self._publish_lists(session, state)
        retained.put(builder.availability(ONLINE))
        self._stale_check_until = now + _STALE_CHECK_SECONDS

    def publish(self, session: MqttSession, change: StateChange) -> None:
        match change:
            case CameraStatus():
                session.retained.put(self._builder.camera_state(change))
            case OccupancyMinute():
                session.retained.put(self._builder.occupancy(change))
            case CameraSnapshot():
                self._publish_snapshot(session, change)

    def remember(self, change: StateChange) -> None:
        """Keep what `current_state` does not return: the newest counts and snapshots."""
        match change:
            case OccupancyMinute():
                self._minutes[change.camera, change.zone] = change
            case CameraSnapshot():
                self._snapshots[change.camera] = (change, time.monotonic() + _SNAPSHOT_SECONDS)
            case CameraStatus():
                pass

    def schedule_refresh(self) -> None:
        """Publish the lists of what is open, and the snoozes, again soon."""
        if self._refresh_at is None:
            self._refresh_at = max(time.monotonic(), self._refreshed_at + _REFRESH_INTERVAL)

    def answer(self, result: CommandResult) -> None:
        """Answer a command that came through this sink, in this session or the next."""
        if result.id == self._oversized_snapshot:
            result = CommandResult(id=result.id, ok=False, detail="the broker takes no picture so large")
        answer = self._commands.complete(result) if self._commands is not None else None
        if answer is not None:
            self._unsent_answers.append(answer)

    def seconds_until_due(self) -> float:
        """Return in how many seconds `run_due` has something to do, at most 1."""
        moments = [self._refresh_at, self._stale_check_until]
        now = time.monotonic()
        return max(0.0, min([1.0, *(each - now for each in moments if each is not None)]))

    def run_due(self, session: MqttSession) -> None:
        now = time.monotonic()
        if self._refresh_at is not None and now >= self._refresh_at:
            self._publish_lists(session, self._current_state())
        self._clear_expired_snapshots(session, now)
        self._ownership.run_due(now)
        self._clear_leftovers(session, now)
        if self._stale_check_until is not None and now >= self._stale_check_until:
            self._stale_check_until = None
            session.unsubscribe(self._stale.filters)
        self.send_answers(session)

    def send_answers(self, session: MqttSession) -> None:
        """Publish the answers that wait, after the state that they report."""
        while self._unsent_answers:
            session.answer(self._unsent_answers.pop(0))

    def handle(self, session: MqttSession, message: Received) -> None:
        """Handle a message: a command, the birth of Home Assistant, or a stale topic."""
        if self._commands is not None and self._commands.handles(message):
            command = self._commands.receive(message, time.monotonic())
            if isinstance(command, Command):
                self._run_command(command)
            elif command is not None:
                session.answer(command)
        elif self._ownership.handles(message):
            self._ownership.see(message, time.monotonic())
        elif self._home is not None and self._home.is_birth(message.topic, message.payload):
            self.publish_all(session)
        elif self._is_stale(session, message):
            self._leftovers.add(message.topic)

    def _is_stale(self, session: MqttSession, message: Received) -> bool:
        if not message.retained or not message.payload or message.topic in session.retained:
            return False
        return self._stale.is_stale(message.topic)

    def _publish_snapshot(self, session: MqttSession, snapshot: CameraSnapshot) -> None:
        message = self._builder.snapshot(snapshot, _SNAPSHOT_SECONDS)
        if session.fits(message):
            session.retained.put(message)
        else:
            self._oversized_snapshot = snapshot.command
            del self._snapshots[snapshot.camera]

    def _publish_lists(self, session: MqttSession, state: StateSnapshot) -> None:
        self._refreshed_at, self._refresh_at = time.monotonic(), None
        session.retained.put(*self._builder.open_now(state, self._cameras))
        snoozes = {name: Snooze(name) for name in self._cameras}
        snoozes |= {snooze.camera: snooze for snooze in state.snoozes if snooze.camera in snoozes}
        session.retained.put(*map(self._builder.snooze, snoozes.values()))

    def _clear_leftovers(self, session: MqttSession, now: float) -> None:
        """Clear what earlier configurations published and this one does not."""
        roots = set(self._ownership.earlier_roots)
        if self._ownership.may_clear(now):
            roots.add(self._published.root)
            leftovers, self._leftovers = self._leftovers, set()
            self._clear(session, leftovers)
        for root in roots - self._cleared_roots:
            known = self._published.topics(root)
            self._clear(session, {topic for topic in known if not self._stale.is_in_use(topic)})
        self._cleared_roots |= roots
        self._published.save()

    def _clear(self, session: MqttSession, topics: Iterable[str]) -> None:
        """Clear topics that this session has not published; the owner of a root comes last."""
        in_order = sorted(topics, key=lambda topic: (topic.endswith("/owner"), topic))
        unpublished = [topic for topic in in_order if topic not in session.retained]
        session.retained.put(*map(_cleared, unpublished))

    def _clear_expired_snapshots(self, session: MqttSession, now: float) -> None:
        """Clear pictures that are a day old; a 3.1.1 broker would keep them without limit."""
        for camera in [name for name, (_, until) in self._snapshots.items() if now >= until]:
            del self._snapshots[camera]
            topic = self._builder.topics.of(Topic.SNAPSHOT, camera=camera)
            session.retained.put(_cleared(topic))


def _cleared(topic: str) -> Message:
    """Return the message that removes a retained one from the broker."""
    return Message(topic, b"", retain=True)
