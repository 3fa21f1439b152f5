"""The recorder's side of a sink: records outcomes and commands, and supplies the state."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from maskwatch.alerts.sink import Delivery, DeliveryOutcome, DeliveryStatus, Report, Sink, StateSnapshot
from maskwatch.domain import CameraState, CameraStatus, Change, Incident, OccupancyMinute, Snooze
from maskwatch.ipc.messages import Command
from tests.fakes.samples import START
from tests.fakes.waiting import SLACK, wait_until

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def status(
    camera: str = "door", state: CameraState = CameraState.LIVE, reason: str = ""
) -> CameraStatus:
    return CameraStatus(state, reason, START, camera)


def minute(camera: str = "door", zone: str = "", masked: int = 3) -> OccupancyMinute:
    return OccupancyMinute(camera, zone, START, masked + 3, masked + 1, masked, 1, 0, 2, 2)


class FakeRecorder:
    """Records outcomes and commands; a test sets the state."""

    def __init__(self) -> None:
        self.outcomes: list[DeliveryOutcome] = []
        self.commands: list[Command] = []
        self.cameras = [status()]
        self.open_violations: list[Change] = []
        self.open_incidents: list[Incident] = []
        self.occupancy: dict[str, OccupancyMinute] = {}
        self.acknowledged: list[UUID] = []
        self.silenced: list[UUID] = []
        self.snoozes: list[Snooze] = []
        self._changed = threading.Condition()
        self._sent = 0

    def report(self, outcome: DeliveryOutcome) -> None:
        with self._changed:
            self.outcomes.append(outcome)
            self._changed.notify_all()

    def command(self, command: Command) -> None:
        with self._changed:
            self.commands.append(command)
            self._changed.notify_all()

    def state(self) -> StateSnapshot:
        return StateSnapshot(
            tuple(self.cameras),
            tuple(self.open_violations),
            tuple(self.open_incidents),
            dict(self.occupancy),
            tuple(self.acknowledged),
            tuple(self.silenced),
            tuple(self.snoozes),
        )

    @property
    def callbacks(
        self,
    ) -> tuple[Report, Callable[[], StateSnapshot], Callable[[Command], None]]:
        """The arguments of `Sink.start`."""
        return self.report, self.state, self.command

    def start(self, sink: Sink, *, ready: bool = True) -> None:
        """Start a sink, and wait until it is `ready`."""
        sink.start(*self.callbacks)
        if ready:
            wait_until(lambda: sink.ready)

    def send(
        self,
        sink: Sink,
        subject: Change | Incident,
        *,
        picture: Path | None = None,
        stored: bool = True,
        failures: int = 0,
        acknowledged: bool = False,
    ) -> int:
        self._sent += 1
        sink.send(Delivery(self._sent, subject, stored, picture, failures, acknowledged))
        return self._sent

    def outcome(self, delivery: int, seconds: float = 15) -> DeliveryOutcome:
        """Return the one outcome of a delivery, waiting for it."""
        with self._changed:
            self._changed.wait_for(
                lambda: any(o.delivery == delivery for o in self.outcomes), seconds * SLACK
            )
            found = [o for o in self.outcomes if o.delivery == delivery]
        assert len(found) == 1, f"delivery {delivery} has outcomes {found}"
        return found[0]

    def status(self, delivery: int, seconds: float = 15) -> DeliveryStatus:
        return self.outcome(delivery, seconds).status

    def wait_command(self, count: int = 1, seconds: float = 10) -> Command:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.commands) >= count, seconds * SLACK), (
                self.commands
            )
            return self.commands[count - 1]
