"""Every message that crosses a process boundary. JSON by msgspec; validated on arrival.

Pictures (anonymized JPEG) travel as raw bytes beside a message, never inside it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from maskwatch.config.schema import Config
from maskwatch.domain import CameraState, CameraStatus, Change, Incident, OccupancyMinute, Snooze
from maskwatch.ipc.validation import check_change, check_minute, check_moment
from maskwatch.secrets import Secret
from maskwatch.telemetry.meter import MetricsSnapshot

__all__ = [
    "Command",
    "CommandResult",
    "Configure",
    "FromRecorder",
    "Heartbeat",
    "IncidentChanged",
    "Metrics",
    "OccupancyCounted",
    "Ready",
    "Record",
    "Recorded",
    "SnapshotTaken",
    "SnoozeChanged",
    "StatusChanged",
    "Stop",
    "ToChild",
    "ToRecorder",
    "ToSupervisor",
    "WorkerHello",
    "WorkerMisbehaved",
]


class _Message(msgspec.Struct, frozen=True, tag_field="type", kw_only=True):
    """The base: `type` in the JSON names the class."""


# --- supervisor -> child -------------------------------------------------------------------------


class Configure(_Message, frozen=True, kw_only=True, tag="configure"):
    """The first message to every child, and again to the recorder when its part changed.

    A worker gets the configuration with its own camera only and without any secret of others.
    `attempt` is the reconnect attempt that a replaced worker goes on with. `recorder` is the path
    of the recorder's socket. `badge` is what a worker shows there; the recorder gets the key to all
    of them instead (see `maskwatch.ipc.worker_tokens`).
    """

    config: Config
    recorder: str
    camera: str = ""
    attempt: int = 0
    badge: Secret = msgspec.field(default_factory=lambda: Secret(""))


class Stop(_Message, frozen=True, kw_only=True, tag="stop"):
    """End in order within `grace` seconds."""

    grace: float


class Command(_Message, frozen=True, kw_only=True, tag="command"):
    """An operator's wish: enable, disable, snooze, snapshot, acknowledge, reload.

    `target` is a camera's name, or a violation's id for acknowledge; `origin` says where it came
    from (mqtt, cli, link:CHANNEL). Goes from the recorder (MQTT), the control socket or the link's
    page to the supervisor, and on to the child that it is for.
    """

    id: str
    verb: str
    target: str = ""
    seconds: float = 0.0
    origin: str = ""


# --- child -> supervisor -------------------------------------------------------------------------


class Ready(_Message, frozen=True, kw_only=True, tag="ready"):
    """The child has done its set-up."""


class Heartbeat(_Message, frozen=True, kw_only=True, tag="heartbeat"):
    """How a child is.

    `leave_by` is seconds from now by which this state must be left (None: never). `frames` counts
    processed frames, `last_frame` is the capture time of the newest one, `attempt` the reconnect
    attempt. The recorder sends LIVE, and its processed messages as frames.
    """

    state: CameraState
    reason: str
    since: datetime
    leave_by: float | None
    frames: int
    last_frame: datetime | None
    attempt: Annotated[int, Meta(ge=0, le=1_000_000_000)]

    def __post_init__(self) -> None:
        """Let no time in that cannot be reckoned with."""
        check_moment(self.since)
        check_moment(self.last_frame)


class Metrics(_Message, frozen=True, kw_only=True, tag="metrics"):
    """Cumulative values since this process began; the supervisor sums across restarts."""

    snapshot: MetricsSnapshot


class CommandResult(_Message, frozen=True, kw_only=True, tag="command_result"):
    """How a command ended; goes back to where it came from."""

    id: str
    ok: bool
    detail: str = ""


class SnoozeChanged(_Message, frozen=True, kw_only=True, tag="snooze_changed"):
    """A camera's snooze began or ended; the recorder owns them."""

    snooze: Snooze


class WorkerMisbehaved(_Message, frozen=True, kw_only=True, tag="distrusted"):
    """The recorder's word: the worker that is this process breaks the rules of the line."""

    pid: int
    why: str


# --- supervisor -> recorder ----------------------------------------------------------------------


class StatusChanged(_Message, frozen=True, kw_only=True, tag="status_changed"):
    """A camera's state, for the retained MQTT topic."""

    status: CameraStatus


class IncidentChanged(_Message, frozen=True, kw_only=True, tag="incident_changed"):
    """Trouble began, changed or ended; stored and delivered like a violation's change."""

    incident: Incident


# --- worker <-> recorder -------------------------------------------------------------------------


class WorkerHello(_Message, frozen=True, kw_only=True, tag="worker_hello"):
    """The first message of a worker on its connection to the recorder; `badge` is the camera's."""

    camera: str
    badge: str = ""


class Record(_Message, frozen=True, kw_only=True, tag="record"):
    """Store this change; the picture, if any, is the blob beside it."""

    change: Change

    def __post_init__(self) -> None:
        """Let nothing in that no worker says."""
        check_change(self.change)


class OccupancyCounted(_Message, frozen=True, kw_only=True, tag="occupancy"):
    """A finished minute; idempotent by camera, zone and minute. Not acknowledged."""

    minute: OccupancyMinute

    def __post_init__(self) -> None:
        """Let nothing in that no worker says."""
        check_minute(self.minute)


class SnapshotTaken(_Message, frozen=True, kw_only=True, tag="snapshot_taken"):
    """The picture that a `snapshot` asked for; the anonymized JPEG is the blob beside it.

    The recorder answers with the `CommandResult` of `command`, which the worker passes on.
    """

    command: str
    camera: str
    at: datetime

    def __post_init__(self) -> None:
        """Let no time in that cannot be reckoned with."""
        check_moment(self.at)


class Recorded(_Message, frozen=True, kw_only=True, tag="recorded"):
    """The change is on disk (`stored`), or only in memory since the disk is full."""

    violation: UUID
    number: int
    stored: bool = True


ToChild = Configure | Stop | Command | CommandResult | StatusChanged | IncidentChanged
ToSupervisor = Ready | Heartbeat | Metrics | Command | CommandResult | SnoozeChanged | WorkerMisbehaved
ToRecorder = WorkerHello | Record | OccupancyCounted | SnapshotTaken
FromRecorder = Recorded | CommandResult
