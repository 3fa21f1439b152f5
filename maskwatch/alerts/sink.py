"""What every way out has in common: it takes deliveries, and reports the outcome of each.

The recorder owns the outbox and every retry; a sink never queues beyond its window and never
retries. All calls come from the recorder's main thread and return at once; outcomes may be
reported from any thread.
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

__all__ = [
    "CameraSnapshot",
    "Delivery",
    "DeliveryOutcome",
    "DeliveryStatus",
    "Report",
    "Sink",
    "StateSnapshot",
]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One change on its way to one sink.

    Attributes:
        id: key of the outbox row; unique in this run also for alerts that could not be stored.
        subject: the change of a violation, or an incident.
        stored: False when the disk was full and the alert lives in memory only.
        picture: file of the anonymized JPEG, if there is one.
        attempt: 1 for the first try.
    """

    id: int
    subject: Change | Incident
    stored: bool
    picture: Path | None
    attempt: int = 1


class DeliveryStatus(StrEnum):
    """How a delivery ended."""

    ACCEPTED = "accepted"  # acknowledged by the peer: mark it delivered
    REFUSED = "refused"  # the peer will never take it: park it
    FAILED = "failed"  # it may work later: try again


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """The end of one delivery; `detail` is for logs and holds no secret.

    `late` is the change of a delivery that had its end before (it was held until somebody acknowledges
    it): what became of it then, begun at `began`, is noted as a further attempt and never tried again.
    """

    delivery: int
    fate: DeliveryStatus
    detail: str = ""
    late: Change | None = None
    began: datetime | None = None


Report = Callable[[DeliveryOutcome], None]


@dataclass(frozen=True, slots=True)
class StateSnapshot:
    """What a sink with memory (retained topics) must show after every connect.

    `acknowledged` are violations that somebody has acknowledged: those that are open, and those of
    this run. `silenced` are open ones that nobody is told of, `snoozes` the cameras' snoozes.
    `unacknowledged` are first changes of violations that nobody has acknowledged yet, the newest
    thousand of those that were told.
    """

    cameras: Sequence[CameraStatus]
    open_violations: Sequence[Change]
    open_incidents: Sequence[Incident]
    occupancy: Mapping[str, OccupancyMinute]
    acknowledged: Collection[UUID] = ()
    silenced: Collection[UUID] = ()
    snoozes: Sequence[Snooze] = ()
    unacknowledged: Sequence[Change] = ()


@dataclass(frozen=True, slots=True)
class CameraSnapshot:
    """The picture that a command asked for: an anonymized JPEG, taken `at` (UTC)."""

    command: str
    camera: str
    at: datetime
    jpeg: bytes


class Sink(Protocol):
    """One way out."""

    @property
    def name(self) -> str:
        """Key of this sink in the outbox and in metrics."""
        ...

    @property
    def window(self) -> int:
        """How many deliveries may be without an outcome."""
        ...

    @property
    def ready(self) -> bool:
        """Whether deliveries are taken now (connected, and publishing known to work)."""
        ...

    @property
    def holding(self) -> bool:
        """Whether it takes nothing now on purpose (quiet hours, a pause after many messages)."""
        ...

    def start(
        self,
        report: Report,
        standing: Callable[[], StateSnapshot],
        command: Callable[[Command], None],
    ) -> None:
        """Connect in the background; `standing` and `command` may be called from any thread."""
        ...

    def send(self, delivery: Delivery) -> None:
        """Take a delivery; its outcome is reported once, also when the connection is lost."""
        ...

    def camera_changed(self, status: CameraStatus) -> None:
        """A camera's state changed."""
        ...

    def occupancy_counted(self, minute: OccupancyMinute) -> None:
        """A minute was counted."""
        ...

    def standing_changed(self) -> None:
        """What is open, or who is snoozed, changed; the standing state says how."""
        ...

    def snapshot_taken(self, snapshot: CameraSnapshot) -> None:
        """A picture that came of a command through this sink; the command's end comes after it."""
        ...

    def command_done(self, result: CommandResult) -> None:
        """A command that came through this sink ended."""
        ...

    def stop(self, timeout: float) -> None:
        """Say goodbye and end within `timeout` seconds."""
        ...
