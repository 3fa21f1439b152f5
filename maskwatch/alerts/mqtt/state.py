"""The node as others see it on the broker: retained state, discovery, and an ear for commands.

It outlives connections; each session shows what this says. All calls come from one thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from maskwatch.alerts.mqtt.commands import CommandResponse, MqttCommandHandler
from maskwatch.alerts.mqtt.connection import Received
from maskwatch.alerts.mqtt.home_assistant import HomeAssistant
from maskwatch.alerts.mqtt.messages import MessageBuilder
from maskwatch.alerts.mqtt.session import MqttSession
from maskwatch.alerts.mqtt.topics import Message, Topic
from maskwatch.alerts.sink import CameraSnapshot, StateSnapshot
from maskwatch.config.schema import Config
from maskwatch.domain import CameraStatus, OccupancyMinute, Snooze
from maskwatch.ipc.messages import Command, CommandResult

__all__ = ["Shown", "StatePublisher"]

# Lists of what is open are brought up to date after a delivery, this often at most.
_REFRESH = 0.5
# How long after a connect we look for retained topics of cameras that are gone.
_SWEEP = 5.0

# How long a snapshot stays on its topic.
_SNAPSHOT = 86_400.0

Shown = CameraStatus | OccupancyMinute | CameraSnapshot

_OF_CAMERAS = (
    Topic.CAMERA_STATE,
    Topic.SNOOZE,
    Topic.SNAPSHOT,
    Topic.OPEN_VIOLATIONS,
    Topic.OPEN_INCIDENTS,
    Topic.OCCUPANCY,
    Topic.ZONE_OCCUPANCY,
)


class StatePublisher:
    """What the node shows, and how it answers."""

    def __init__(
        self,
        config: Config,
        composer: MessageBuilder,
        standing: Callable[[], StateSnapshot],
        command: Callable[[Command], None],
    ) -> None:
        self._composer = composer
        self._standing = standing
        self._command = command
        self._zones = {camera.name: {zone.name for zone in camera.zones} for camera in config.cameras}
        self._desk = MqttCommandHandler(composer.topics, composer.node) if config.mqtt.commands else None
        self._home = HomeAssistant(config) if config.mqtt.home_assistant else None
        self._minutes: dict[tuple[str, str], OccupancyMinute] = {}
        self._snapshots: dict[str, tuple[CameraSnapshot, float]] = {}
        self._too_large = ""
        self._unsent_answers: list[CommandResponse] = []
        self._refresh_at: float | None = None
        self._refreshed = 0.0
        self._sweep_until: float | None = None

    @property
    def subscriptions(self) -> list[str]:
        """What to listen to."""
        topics = self._composer.topics
        wanted = self._sweep_filters()
        if self._desk is not None:
            wanted += [topics.filter(topic) for topic in (Topic.CAMERA_COMMAND, Topic.NODE_COMMAND)]
        if self._home is not None:
            wanted.append(self._home.birth_topic)
        return wanted

    def restate(self, session: MqttSession) -> None:
        """Show everything anew; that the node is there comes last."""
        session.show_again()
        if self._home is not None:
            session.show(self._home.messages())
        state = self._standing()
        session.show(map(self._composer.camera_state, state.cameras))
        for minute in state.occupancy.values():
            self._minutes.setdefault((minute.camera, minute.zone), minute)
        session.show(map(self._composer.occupancy, self._minutes.values()))
        for snapshot, until in self._snapshots.values():
            session.show([self._composer.snapshot(snapshot, until - time.monotonic())])
        self._show_standing(session, state)
        session.online()
        self._sweep_until = time.monotonic() + _SWEEP

    def show(self, session: MqttSession, changed: Shown) -> None:
        """Show a camera's state, a counted minute or a snapshot."""
        match changed:
            case CameraStatus():
                session.show([self._composer.camera_state(changed)])
            case OccupancyMinute():
                session.show([self._composer.occupancy(changed)])
            case CameraSnapshot():
                self._show_snapshot(session, changed)

    def remember(self, changed: Shown) -> None:
        """Keep what the standing state does not hold: the newest counts and snapshots."""
        match changed:
            case OccupancyMinute():
                self._minutes[changed.camera, changed.zone] = changed
            case CameraSnapshot():
                self._snapshots[changed.camera] = (changed, time.monotonic() + _SNAPSHOT)
            case CameraStatus():
                pass

    def _show_snapshot(self, session: MqttSession, snapshot: CameraSnapshot) -> None:
        message = self._composer.snapshot(snapshot, _SNAPSHOT)
        if session.fits(message):
            session.show([message])
        else:
            self._too_large = snapshot.command
            del self._snapshots[snapshot.camera]

    def outdated(self) -> None:
        """Have the lists of what is open, and the snoozes, brought up to date soon."""
        if self._refresh_at is None:
            self._refresh_at = max(time.monotonic(), self._refreshed + _REFRESH)

    def answer(self, session: MqttSession, result: CommandResult) -> None:
        """Tell the sender of a command how it ended."""
        if result.id == self._too_large:
            result = CommandResult(id=result.id, ok=False, detail="the broker takes no picture so large")
        self._tell(session, self._desk.done(result) if self._desk else None)

    def keep_answer(self, result: CommandResult) -> None:
        """Keep a result that arrives without a session; the next session publishes the answer."""
        answer = self._desk.done(result) if self._desk else None
        if answer is not None:
            self._unsent_answers.append(answer)

    def due(self) -> float:
        """Return in how many seconds `tick` has something to do, at most 1."""
        at = [self._refresh_at, self._sweep_until]
        now = time.monotonic()
        return max(0.0, min([1.0, *(each - now for each in at if each is not None)]))

    def tick(self, session: MqttSession) -> None:
        """Do what is due."""
        now = time.monotonic()
        if self._refresh_at is not None and now >= self._refresh_at:
            self._show_standing(session, self._standing())
        self._clear_snapshots(session, now)
        if self._sweep_until is not None and now >= self._sweep_until:
            self._sweep_until = None
            session.unsubscribe(self._sweep_filters())
        while self._unsent_answers:
            self._tell(session, self._unsent_answers.pop(0))

    def hear(self, session: MqttSession, message: Received) -> None:
        """Take a message: a command, the birth of Home Assistant, or a leftover."""
        if self._desk is not None and self._desk.concerns(message):
            taken = self._desk.take(message, time.monotonic())
            if isinstance(taken, Command):
                self._command(taken)
            else:
                self._tell(session, taken)
        elif self._home is not None and self._home.is_birth(message.topic, message.payload):
            self.restate(session)
        elif message.retained and message.payload and self._is_leftover(session, message.topic):
            session.show([Message(message.topic, b"", retain=True)])

    def _show_standing(self, session: MqttSession, state: StateSnapshot) -> None:
        self._refreshed, self._refresh_at = time.monotonic(), None
        session.show(self._composer.open_now(state, self._zones))
        snoozes = {name: Snooze(name) for name in self._zones}
        snoozes |= {snooze.camera: snooze for snooze in state.snoozes if snooze.camera in snoozes}
        session.show(map(self._composer.snooze, snoozes.values()))

    def _clear_snapshots(self, session: MqttSession, now: float) -> None:
        """Have the broker forget pictures that are a day old; one of 3.1.1 would keep them for ever."""
        for camera in [name for name, (_, until) in self._snapshots.items() if now >= until]:
            del self._snapshots[camera]
            topic = self._composer.topics.of(Topic.SNAPSHOT, camera=camera)
            session.show([Message(topic, b"", retain=True)])

    def _tell(self, session: MqttSession, answer: CommandResponse | None) -> None:
        if answer is not None:
            session.tell(self._composer.answer(answer))

    def _sweep_filters(self) -> list[str]:
        filters = [self._composer.topics.filter(topic) for topic in _OF_CAMERAS]
        return [*filters, self._home.filter] if self._home is not None else filters

    def _is_leftover(self, session: MqttSession, topic: str) -> bool:
        """Return whether a retained topic is of a camera, zone or entity that is no more.

        A snapshot of a former run is one: nobody knows when it is to be cleared.
        """
        if session.shows(topic):
            return False
        if self._composer.topics.parse(Topic.SNAPSHOT, topic) is not None:
            return True
        if self._home is not None and self._home.owns(topic):
            return True
        return any(self._is_stranger(names) for names in self._parsed(topic))

    def _parsed(self, topic: str) -> Iterator[dict[str, str]]:
        for kind in _OF_CAMERAS:
            names = self._composer.topics.parse(kind, topic)
            if names is not None:
                yield names

    def _is_stranger(self, names: dict[str, str]) -> bool:
        zones = self._zones.get(names["camera"])
        return zones is None or ("zone" in names and names["zone"] not in zones)
