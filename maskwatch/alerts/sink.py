"""The interface of every sink: it takes deliveries and reports the outcome of each.

The recorder owns the outbox and its retries; a sink never queues beyond its window, reconnects by
itself (`mqtt.sink`), and retries nothing. All calls come from the recorder's main thread and return
immediately; outcomes may be reported from any thread.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol
from uuid import UUID

from maskwatch.domain import CameraStatus, Change, Incident, OccupancyMinute, Snooze
from maskwatch.ipc.messages import Command, CommandResult


@dataclass(frozen=True, slots=True)
class Delivery:
    """One change on its way to one sink.

    Attributes:
        id: key of the outbox row; unique in this run also for alerts that could not be stored.
        subject: the change of a violation, or an incident.
        stored: False when the disk was full and the alert is in memory only.
        picture: file of the anonymized JPEG, if there is one.
        failures: how often the sink failed with it, without having refused it.
        acknowledged: whether its violation was acknowledged before this attempt.
    """

    id: int
    subject: Change | Incident
    stored: bool
    picture: Path | None
    failures: int = 0
    acknowledged: bool = False


class DeliveryStatus(StrEnum):
    """How a delivery ended."""

    ACCEPTED = "accepted"  # acknowledged by the peer: mark it delivered
    SKIPPED = "skipped"  # by a rule of this sink not to be sent: mark it delivered
    REFUSED = "refused"  # the peer answered, and does not take this one
    FAILED = "failed"  # the peer did not answer, or is in trouble


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """The end of one delivery; `detail` is for logs and holds no secret.

    `correctable`: an operator can correct what refuses it, such as rights or a limit of the peer.
    """

    delivery: int
    status: DeliveryStatus
    detail: str = ""
    correctable: bool = False


Report = Callable[[DeliveryOutcome], None]


@dataclass(frozen=True, slots=True)
class StateSnapshot:
    """The current state, which a sink with retained topics publishes after every connect.

    Attributes:
        cameras: state of each camera.
        open_violations: newest change of each open violation.
        open_incidents: newest change of each open incident.
        occupancy: newest counted minute of each camera and zone.
        acknowledged: acknowledged violations: those that are open, and those of this run.
        silenced: open violations for which no alert is sent, since their camera was snoozed.
        snoozes: snoozes of the cameras.
    """

    cameras: Sequence[CameraStatus]
    open_violations: Sequence[Change]
    open_incidents: Sequence[Incident]
    occupancy: Mapping[str, OccupancyMinute]
    acknowledged: Collection[UUID] = ()
    silenced: Collection[UUID] = ()
    snoozes: Sequence[Snooze] = ()


@dataclass(frozen=True, slots=True)
class CameraSnapshot:
    """The picture that a command requested: an anonymized JPEG, taken `at` (UTC)."""

    command: str
    camera: str
    at: datetime
    jpeg: bytes


StateUpdate = CameraStatus | OccupancyMinute | CameraSnapshot | CommandResult
"""A camera's new state, a counted minute, or the picture and then the result of a command."""


class Sink(Protocol):
    """A destination of alerts.

    Attributes:
        name: key of this sink in the outbox and in metrics.
        window: how many deliveries may be without an outcome.
        unacknowledged_for: seconds for which the opening of a violation waits for an
            acknowledgement before it is sent.
    """

    name: str
    window: int
    unacknowledged_for: float

    @property
    def ready(self) -> bool:
        """Whether deliveries are taken now (connected, and publishing verified)."""

    @property
    def paused(self) -> bool:
        """Whether it takes nothing now on purpose (quiet hours, the pause after a burst)."""

    @property
    def reason(self) -> str:
        """Why it is not ready, or what else is wrong with it; "" if nothing is. It holds no secret."""

    def start(
        self,
        report: Report,
        current_state: Callable[[], StateSnapshot],
        run_command: Callable[[Command], None],
    ) -> None:
        """Connect in the background; the callables may be called from any thread."""

    def send(self, delivery: Delivery) -> None:
        """Take a delivery; its outcome is reported once, also when the connection is lost."""

    def publish(self, update: StateUpdate) -> None:
        """Publish an update; a result only if its command came through this sink."""

    def state_changed(self) -> None:
        """Publish open violations, open incidents and snoozes again; `current_state` returns them."""

    def stop(self, timeout: float) -> None:
        """Disconnect in order, within `timeout` seconds."""


class StatelessSink:
    """Base of sinks that deliver alerts only: they publish no state and take no commands."""

    unacknowledged_for = 0.0
    reason = ""

    def publish(self, update: StateUpdate) -> None:
        """Ignore it: a camera in trouble is delivered as an incident, and no command comes from here."""

    def state_changed(self) -> None:
        """Ignore it."""


class HeldSink(StatelessSink):
    """Stands for a sink whose secret or certificate is not available yet: alerts wait for it."""

    window = 1
    ready = False
    paused = False

    def __init__(self, name: str) -> None:
        self.name = name

    def start(
        self,
        report: Report,
        current_state: Callable[[], StateSnapshot],
        run_command: Callable[[Command], None],
    ) -> None:
        """Do nothing."""

    def send(self, delivery: Delivery) -> None:
        """Never called: it is not ready."""

    def stop(self, timeout: float) -> None:
        """Do nothing."""
