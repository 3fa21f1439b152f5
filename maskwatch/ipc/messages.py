"""Every message that crosses a process boundary: JSON by msgspec, validated on arrival.

Pictures (anonymized JPEG) travel as raw bytes beside a message, never inside it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from maskwatch.config.schema import Config
from maskwatch.decoding import MAX_INTEGER
from maskwatch.domain import (
    CameraState,
    CameraStatus,
    Change,
    Incident,
    OccupancyMinute,
    SinkStatus,
    Snooze,
)
from maskwatch.ipc.validation import check_change, check_minute, check_time
from maskwatch.secrets import Secret
from maskwatch.telemetry.meter import MetricsSnapshot


class _Message(msgspec.Struct, frozen=True, tag_field="type", kw_only=True):
    """The base: `type` in the JSON names the class."""


# --- supervisor -> child -------------------------------------------------------------------------


class Configure(_Message, frozen=True, kw_only=True, tag="configure"):
    """The first message to every child, and again to the recorder when its part changed.

    A worker gets the configuration with its own camera only and without any secret of others.
    `attempt` is the reconnect attempt that a replaced worker goes on with. `recorder` is the path
    of the recorder's socket. `token` authenticates a worker there; the recorder gets the key of all
    tokens instead (see `maskwatch.ipc.worker_tokens`). With `resolve_redirects` the last worker of
    this camera was redirected to a port that its sandbox refused. `processor_share` is how many
    processors its decoder may use while others wait for one; 0 for any number. `held_sinks` names the
    sinks that lack a secret or a file, and must wait.
    """

    config: Config
    recorder: str
    camera: str = ""
    attempt: int = 0
    resolve_redirects: bool = False
    processor_share: float = 0.0
    held_sinks: tuple[str, ...] = ()
    token: Secret = msgspec.field(default_factory=lambda: Secret(""))


class Stop(_Message, frozen=True, kw_only=True, tag="stop"):
    """Shut down in order within `grace` seconds."""

    grace: float


class SetRate(_Message, frozen=True, kw_only=True, tag="set_rate"):
    """Analyse `rate` frames a second from now on, instead of those that the configuration asks for."""

    rate: Annotated[float, Meta(gt=0)]


class Command(_Message, frozen=True, kw_only=True, tag="command"):
    """A command from an operator: enable, disable, snooze, snapshot, acknowledge, reload or retry.

    `target` is a camera's name, or a violation's id for acknowledge. `origin` is where it came from
    (mqtt, cli, link:CHANNEL), and `by` who sent it, as far as that is known. The recorder executes
    `acknowledge`, `snooze` and `retry`, a camera's worker `snapshot`, the supervisor the others and
    the routing. The target of `retry` is a sink or "", and it is limited to alerts from `since` until
    `until`.
    """

    id: str
    verb: str
    target: str = ""
    seconds: float = 0.0
    origin: str = ""
    by: str = ""
    since: datetime | None = None
    until: datetime | None = None

    def __post_init__(self) -> None:
        check_time(self.since)
        check_time(self.until)


# --- child -> supervisor -------------------------------------------------------------------------


class Ready(_Message, frozen=True, kw_only=True, tag="ready"):
    """The child has finished its set-up; `sandbox` names the layers in force."""

    sandbox: Annotated[tuple[Annotated[str, Meta(max_length=64)], ...], Meta(max_length=16)] = ()


class Unavailable(_Message, frozen=True, kw_only=True, tag="unavailable"):
    """The child ends, since what it needs is not available now; another one may have it."""

    reason: str


class Heartbeat(_Message, frozen=True, kw_only=True, tag="heartbeat"):
    """A child's state, sent every second.

    `leave_by` is seconds from now by which this state must be left (None: no limit). `frames` counts
    processed frames, `last_frame` is the capture time of the newest one, `attempt` the reconnect
    attempt, `overload` that of `CameraStatus`, `rate` the frames analysed per second now, and `lost` the
    frames that were due at it and were not analysed. The recorder sends LIVE, and its processed messages
    as frames.
    """

    state: CameraState
    reason: str
    since: datetime
    leave_by: float | None
    frames: Annotated[int, Meta(ge=0, le=MAX_INTEGER)]
    last_frame: datetime | None
    attempt: Annotated[int, Meta(ge=0, le=1_000_000_000)]
    overload: str = ""
    rate: Annotated[float, Meta(ge=0)] = 0.0
    lost: Annotated[int, Meta(ge=0, le=MAX_INTEGER)] = 0

    def __post_init__(self) -> None:
        check_time(self.since)
        check_time(self.last_frame)


class Metrics(_Message, frozen=True, kw_only=True, tag="metrics"):
    """Cumulative values since this process started; the supervisor sums them across restarts."""

    snapshot: MetricsSnapshot


class CommandResult(_Message, frozen=True, kw_only=True, tag="command_result"):
    """The result of a command, returned to where the command came from.

    `counts`: of a `retry`, the number of alerts of each sink.
    """

    id: str
    ok: bool
    detail: str = ""
    counts: dict[str, int] = {}


class CommandExecuted(_Message, frozen=True, kw_only=True, tag="command_executed"):
    """The recorder executed a command that arrived through a sink; the supervisor counts it."""

    verb: str
    ok: bool


class SnoozeChanged(_Message, frozen=True, kw_only=True, tag="snooze_changed"):
    """A camera's snooze began or ended; the recorder owns snoozes."""

    snooze: Snooze


class SinksChanged(_Message, frozen=True, kw_only=True, tag="sinks_changed"):
    """The state of every sink, sent regularly."""

    sinks: tuple[SinkStatus, ...]


class WorkerMisbehaved(_Message, frozen=True, kw_only=True, tag="worker_misbehaved"):
    """The recorder reports that the worker with this process id broke the protocol."""

    pid: int
    reason: str


# --- supervisor -> recorder ----------------------------------------------------------------------


class StatusChanged(_Message, frozen=True, kw_only=True, tag="status_changed"):
    """A camera's state, for the retained MQTT topic."""

    status: CameraStatus


class IncidentChanged(_Message, frozen=True, kw_only=True, tag="incident_changed"):
    """An incident began, changed or ended; stored and delivered like a violation's change."""

    incident: Incident


# --- worker <-> recorder -------------------------------------------------------------------------


class WorkerHello(_Message, frozen=True, kw_only=True, tag="worker_hello"):
    """The first message of a worker on its connection to the recorder."""

    camera: str
    token: str = ""


class Record(_Message, frozen=True, kw_only=True, tag="record"):
    """Store this change; the picture, if any, is the blob beside it."""

    change: Change

    def __post_init__(self) -> None:
        check_change(self.change)


class OccupancyCounted(_Message, frozen=True, kw_only=True, tag="occupancy"):
    """A finished minute; idempotent by camera, zone and minute. Not acknowledged."""

    minute: OccupancyMinute

    def __post_init__(self) -> None:
        check_minute(self.minute)


class SnapshotTaken(_Message, frozen=True, kw_only=True, tag="snapshot_taken"):
    """The picture that a `snapshot` requested; the anonymized JPEG is the blob beside it.

    The recorder answers with the `CommandResult` of `command`, which the worker passes on.
    """

    command: str
    camera: str
    at: datetime

    def __post_init__(self) -> None:
        check_time(self.at)


class Recorded(_Message, frozen=True, kw_only=True, tag="recorded"):
    """The change is on disk (`stored`), or in memory only while it cannot be stored."""

    violation: UUID
    number: int
    stored: bool = True


ToChild = Configure | Stop | SetRate | Command | CommandResult | StatusChanged | IncidentChanged
ToSupervisor = (
    Ready
    | Heartbeat
    | Metrics
    | Command
    | CommandResult
    | CommandExecuted
    | SnoozeChanged
    | SinksChanged
    | WorkerMisbehaved
    | Unavailable
)
ToRecorder = WorkerHello | Record | OccupancyCounted | SnapshotTaken
FromRecorder = Recorded | CommandResult
