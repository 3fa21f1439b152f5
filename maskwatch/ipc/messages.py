"""Every message that crosses a process boundary. JSON by msgspec; validated on arrival.

Pictures (anonymized JPEG) travel as raw bytes beside a message, never inside it.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from maskwatch.config.schema import Config
from maskwatch.domain import CameraState, CameraStatus, Change, Incident, OccupancyMinute, Snooze
from maskwatch.telemetry.meter import Snapshot

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
]


class _Message(msgspec.Struct, frozen=True, tag_field="type", kw_only=True):
    """The base: `type` in the JSON names the class."""


# --- supervisor -> child -------------------------------------------------------------------------


class Configure(_Message, frozen=True, kw_only=True, tag="configure"):
    """The first message to every child, and again to the recorder when its part changed.

    A worker gets the configuration with its own camera only and without any secret of others.
    `attempt` is the reconnect attempt that a replaced worker goes on with. `recorder` is the path
    of the recorder's socket.
    """

    config: Config
    recorder: str
    camera: str = ""
    attempt: int = 0


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
    attempt: int


class Metrics(_Message, frozen=True, kw_only=True, tag="metrics"):
    """Cumulative values since this process began; the supervisor sums across restarts."""

    snapshot: Snapshot


class CommandResult(_Message, frozen=True, kw_only=True, tag="command_result"):
    """How a command ended; goes back to where it came from."""

    id: str
    ok: bool
    detail: str = ""


class SnoozeChanged(_Message, frozen=True, kw_only=True, tag="snooze_changed"):
    """A camera's snooze began or ended; the recorder owns them."""

    snooze: Snooze


# --- supervisor -> recorder ----------------------------------------------------------------------


class StatusChanged(_Message, frozen=True, kw_only=True, tag="status_changed"):
    """A camera's state, for the retained MQTT topic."""

    status: CameraStatus


class IncidentChanged(_Message, frozen=True, kw_only=True, tag="incident_changed"):
    """Trouble began, changed or ended; stored and delivered like a violation's change."""

    incident: Incident


# --- worker <-> recorder -------------------------------------------------------------------------


class WorkerHello(_Message, frozen=True, kw_only=True, tag="worker_hello"):
    """The first message of a worker on its connection to the recorder."""

    camera: str


class Record(_Message, frozen=True, kw_only=True, tag="record"):
    """Store this change; the picture, if any, is the blob beside it."""

    change: Change


class OccupancyCounted(_Message, frozen=True, kw_only=True, tag="occupancy"):
    """A finished minute; idempotent by camera, zone and minute. Not acknowledged."""

    minute: OccupancyMinute


class SnapshotTaken(_Message, frozen=True, kw_only=True, tag="snapshot_taken"):
    """The picture that a `snapshot` asked for; the anonymized JPEG is the blob beside it.

    The recorder answers with the `CommandResult` of `command`, which the worker passes on.
    """

    command: str
    camera: str
    at: datetime


class Recorded(_Message, frozen=True, kw_only=True, tag="recorded"):
    """The change is on disk (`stored`), or only in memory since the disk is full."""

    violation: UUID
    number: int
    stored: bool = True


ToChild = Configure | Stop | Command | CommandResult | StatusChanged | IncidentChanged
ToSupervisor = Ready | Heartbeat | Metrics | Command | CommandResult | SnoozeChanged
ToRecorder = WorkerHello | Record | OccupancyCounted | SnapshotTaken
FromRecorder = Recorded | CommandResult
