"""A sink in memory whose outcomes a test decides."""

from __future__ import annotations

from collections.abc import Callable

from maskwatch.alerts.sink import (
    CameraSnapshot,
    Delivery,
    DeliveryOutcome,
    DeliveryStatus,
    Report,
    StatelessSink,
    StateSnapshot,
    StateUpdate,
)
from maskwatch.domain import CameraStatus, OccupancyMinute
from maskwatch.ipc.messages import Command, CommandResult


class FakeSink(StatelessSink):
    """Implements `maskwatch.alerts.sink.Sink`; keeps what it is sent in `out` until `end`."""

    def __init__(self, name: str = "mqtt", window: int = 4) -> None:
        self.name = name
        self.window = window
        self.ready = True
        self.paused = False
        self.out: list[Delivery] = []
        self.statuses: list[CameraStatus] = []
        self.snapshots: list[CameraSnapshot] = []
        self.results: list[CommandResult] = []
        self.report: Report = print

    def start(
        self,
        report: Report,
        current_state: Callable[[], StateSnapshot],
        run_command: Callable[[Command], None],
    ) -> None:
        self.report, self.current_state, self.run_command = report, current_state, run_command

    def send(self, delivery: Delivery) -> None:
        self.out.append(delivery)

    def end(
        self,
        delivery: Delivery,
        status: DeliveryStatus = DeliveryStatus.ACCEPTED,
        detail: str = "",
        *,
        correctable: bool = False,
    ) -> None:
        """Report the outcome of a delivery that is in flight."""
        self.out.remove(delivery)
        self.report(DeliveryOutcome(delivery.id, status, detail, correctable))

    def publish(self, update: StateUpdate) -> None:
        match update:
            case CameraStatus():
                self.statuses.append(update)
            case CameraSnapshot():
                self.snapshots.append(update)
            case CommandResult():
                self.results.append(update)
            case OccupancyMinute():
                pass

    def stop(self, timeout: float) -> None: ...
