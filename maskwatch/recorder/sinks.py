"""All the sinks: each with its courier, started and stopped together, told of everything."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from maskwatch.alerts.sink import DeliveryOutcome, Sink, StateSnapshot
from maskwatch.clock import Clock
from maskwatch.domain import CameraStatus, OccupancyMinute, Snooze
from maskwatch.recorder.commands import ForwardedCommands
from maskwatch.recorder.current_state import CurrentState
from maskwatch.recorder.delivery import OutboxDelivery
from maskwatch.recorder.unstored import UnstoredBuffer
from maskwatch.telemetry.meter import Meter

__all__ = ["SinkDeliveries"]


class SinkDeliveries:
    """The couriers of the sinks that are configured now."""

    def __init__(
        self,
        standing: CurrentState,
        memory: UnstoredBuffer,
        commands: ForwardedCommands,
        ring: Callable[[], None],
        *,
        clock: Clock,
        meter: Meter,
    ) -> None:
        """Prepare; `ring` has the loop turn at once, from any thread."""
        self._standing = standing
        self._memory = memory
        self._commands = commands
        self._ring = ring
        self._clock = clock
        self._meter = meter
        self._couriers: list[OutboxDelivery] = []

    def __iter__(self) -> Iterator[OutboxDelivery]:
        return iter(self._couriers)

    def start(self, sinks: Sequence[Sink]) -> None:
        """Have the sinks connect, and give each a courier."""
        for sink in sinks:
            courier = OutboxDelivery(sink, self._memory, clock=self._clock, meter=self._meter)
            self._couriers.append(courier)
            sink.start(
                partial(self._report, courier), self._standing_now, partial(self._commands.take, sink)
            )

    def stop(self, timeout: float) -> list[OutboxDelivery]:
        """Have the sinks say goodbye, in `timeout` seconds all together.

        Returns the couriers, whose last outcomes are to be written.
        """
        stopped, self._couriers = self._couriers, []
        deadline = self._clock.monotonic() + timeout
        for courier in stopped:
            courier.sink.stop(max(0.0, deadline - self._clock.monotonic()))
            courier.collect()
        return stopped

    @property
    def idle(self) -> bool:
        """Whether nothing is out, and everything that came back is written."""
        return all(courier.idle for courier in self._couriers)

    def news(self) -> None:
        """Something was stored, and may be waiting in the outbox."""
        for courier in self._couriers:
            courier.dirty = True
            courier.sink.state_changed()

    def camera_changed(self, status: CameraStatus) -> None:
        """Tell every sink of a camera's state."""
        self._standing.camera(status)
        for courier in self._couriers:
            courier.sink.camera_changed(status)

    def occupancy_counted(self, minute: OccupancyMinute) -> None:
        """Tell every sink of a counted minute."""
        self._standing.minute(minute)
        for courier in self._couriers:
            courier.sink.occupancy_counted(minute)

    def snooze_changed(self, snooze: Snooze) -> None:
        """A snooze began, or lets through again what it held back."""
        self._standing.snooze(snooze)
        self.news()

    def _report(self, courier: OutboxDelivery, outcome: DeliveryOutcome) -> None:
        courier.report(outcome)
        self._ring()

    def _standing_now(self) -> StateSnapshot:
        self._ring()  # a sink that asks has just connected: it may be ready soon
        return self._standing.state()
