"""All the sinks: each with its delivery, started, informed and stopped together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from queue import SimpleQueue

from maskwatch.alerts.sink import DeliveryOutcome, Sink, StateSnapshot
from maskwatch.clock import Clock
from maskwatch.domain import CameraStatus, OccupancyMinute, Snooze
from maskwatch.ipc.messages import Command
from maskwatch.recorder.current_state import CurrentState
from maskwatch.recorder.delivery import OutboxDelivery
from maskwatch.recorder.store_guard import StoreGuard
from maskwatch.recorder.unstored import UnstoredBuffer
from maskwatch.store.store import Store
from maskwatch.telemetry.meter import Meter

MAX_STOP = 2.0
"""The most seconds for deliveries in flight to come back when the sinks stop."""


class SinkDeliveries:
    """The deliveries to the sinks that are configured now; `wake` wakes the loop from any thread."""

    def __init__(
        self,
        state: CurrentState,
        unstored: UnstoredBuffer,
        wake: Callable[[], None],
        *,
        clock: Clock,
        meter: Meter,
    ) -> None:
        self._state = state
        self._unstored = unstored
        self._wake = wake
        self._clock = clock
        self._meter = meter
        self._deliveries: list[OutboxDelivery] = []
        self._stopped: list[OutboxDelivery] = []  # whose last outcomes have not arrived
        self._commands: SimpleQueue[tuple[Sink, Command]] = SimpleQueue()

    def __iter__(self) -> Iterator[OutboxDelivery]:
        return iter(self._deliveries)

    def start(self, sinks: Sequence[Sink]) -> None:
        for sink in sinks:
            delivery = OutboxDelivery(sink, self._unstored, clock=self._clock, meter=self._meter)
            self._deliveries.append(delivery)
            sink.start(
                partial(self._report, delivery), self._current_state, partial(self._run_command, sink)
            )

    def stop(self, guard: StoreGuard, timeout: float) -> None:
        """Stop all sinks within `timeout` seconds together, and write their last outcomes."""
        stopping, self._deliveries = self._deliveries, []
        deadline = self._clock.monotonic() + timeout
        for delivery in stopping:
            delivery.sink.stop(max(0.0, deadline - self._clock.monotonic()))
        self._stopped += stopping
        self._finish_stopped(guard, guard.store)

    def deliver(self, guard: StoreGuard, *, from_memory_only: bool) -> None:
        store = None if from_memory_only else guard.store
        unfinished = self._finish_stopped(guard, store)
        for delivery in self._deliveries:
            delivery.collect()
            with guard.postponing_errors():
                delivery.write(store)
            if delivery.sink.name in unfinished:
                continue  # it may be sending still what would be sent again here
            with guard.postponing_errors():
                delivery.send_due(store)

    def _finish_stopped(self, guard: StoreGuard, store: Store | None) -> set[str]:
        """Write the last outcomes of stopped sinks; return the names of those that are not finished."""
        for delivery in self._stopped:
            delivery.collect()
            with guard.postponing_errors():
                delivery.write(store)
        self._stopped = [delivery for delivery in self._stopped if not delivery.idle]
        return {delivery.sink.name for delivery in self._stopped}

    def commands(self) -> Iterator[tuple[Sink, Command]]:
        """Yield the commands that have arrived through sinks, each once."""
        while not self._commands.empty():
            yield self._commands.get()

    @property
    def idle(self) -> bool:
        return all(delivery.idle for delivery in self._deliveries)

    def outbox_changed(self) -> None:
        """Changes were stored, or released: deliveries may be pending."""
        for delivery in self._deliveries:
            delivery.outbox_changed = True
            delivery.sink.state_changed()

    def camera_changed(self, status: CameraStatus) -> None:
        self._state.update_camera(status)
        for delivery in self._deliveries:
            delivery.sink.publish(status)

    def occupancy_counted(self, minute: OccupancyMinute) -> None:
        self._state.update_minute(minute)
        for delivery in self._deliveries:
            delivery.sink.publish(minute)

    def snooze_changed(self, snooze: Snooze) -> None:
        """Publish a snooze that began, or ended and released what it held back."""
        self._state.update_snooze(snooze)
        self.outbox_changed()

    # --- called by sinks, from any thread -----------------------------------------------------------

    def _report(self, delivery: OutboxDelivery, outcome: DeliveryOutcome) -> None:
        delivery.report(outcome)
        self._wake()

    def _current_state(self) -> StateSnapshot:
        self._wake()  # a sink that asks has just connected: it may be ready soon
        return self._state.snapshot()

    def _run_command(self, sink: Sink, command: Command) -> None:
        self._commands.put((sink, command))
        self._wake()
