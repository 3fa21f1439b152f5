"""A sink in memory whose outcomes a test decides."""

from __future__ import annotations

from collections.abc import Callable

from maskwatch.alerts.sink import (
    CameraSnapshot,
    Delivery,
    DeliveryOutcome,
    DeliveryStatus,
    Report,
    StateSnapshot,
)
from maskwatch.domain import CameraStatus, OccupancyMinute
from maskwatch.ipc.messages import Command, CommandResult


class FakeSink:
    """Implements `maskwatch.alerts.sink.Sink`; keeps what it is sent in `out` until `end`."""

    def __init__(self, name: str = "mqtt", window: int = 4) -> None:
        self.name = name
        self.window = window
        self.ready = True
        self.holding = False
        self.out: list[Delivery] = []
        self.statuses: list[CameraStatus] = []
        self.snapshots: list[CameraSnapshot] = []
        self.results: list[CommandResult] = []
        self.report: Report = print

    def start(
        self,
        report: Report,
        standing: Callable[[], StateSnapshot],
        command: Callable[[Command], None],
    ) -> None:
        self.report, self.standing, self.command = report, standing, command

    def send(self, delivery: Delivery) -> None:
        self.out.append(delivery)

    def end(
        self, delivery: Delivery, fate: DeliveryStatus = DeliveryStatus.ACCEPTED, detail: str = ""
    ) -> None:
        """Report the outcome of something that is out."""
        self.out.remove(delivery)
        self.report(DeliveryOutcome(delivery.id, fate, detail))

    def camera_changed(self, status: CameraStatus) -> None:
        self.statuses.append(status)

    def occupancy_counted(self, minute: OccupancyMinute) -> None: ...

    def standing_changed(self) -> None: ...

    def snapshot_taken(self, snapshot: CameraSnapshot) -> None:
        self.snapshots.append(snapshot)

    def command_done(self, result: CommandResult) -> None:
        self.results.append(result)

    def stop(self, timeout: float) -> None: ...
