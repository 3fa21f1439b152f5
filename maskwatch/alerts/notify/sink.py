"""The sink that notifies people: it filters, groups and pauses.

There is one sink per channel, so that a service that fails delays no other. The outbox stays the only
queue: in quiet hours and after a burst the sink is not ready, and what has accumulated is sent as one
digest afterwards. The recorder holds back violations that wait for an acknowledgement.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from maskwatch.alerts.mqtt.messages import MessageBuilder
from maskwatch.alerts.mqtt.topics import Topics
from maskwatch.alerts.notify.ack_links import AckTokenSigner
from maskwatch.alerts.notify.isolated import IsolatedTransport
from maskwatch.alerts.notify.messages import NotificationRenderer
from maskwatch.alerts.notify.routing import BurstLimit, accepts, in_quiet_hours
from maskwatch.alerts.notify.transports import NotificationTransport
from maskwatch.alerts.sink import (
    Delivery,
    DeliveryOutcome,
    DeliveryStatus,
    Report,
    StatelessSink,
    StateSnapshot,
)
from maskwatch.clock import Clock, SystemClock
from maskwatch.config.partial import people_sink
from maskwatch.config.schema import ChannelConfig, Config
from maskwatch.ipc.messages import Command

log = logging.getLogger(__name__)

_WINDOW = 200
# Alerts that arrive within this time of the first one are grouped with it.
_GROUP_SECONDS = 0.5
_STOPPED = (DeliveryStatus.FAILED, "the sink has stopped")


class NotificationSink(StatelessSink):
    """Implements `maskwatch.alerts.sink.Sink` for one channel.

    Raises (from the constructor):
        DependencyError: Apprise is not installed.
        ConfigError: Apprise does not understand the URL.
    """

    window = _WINDOW

    def __init__(
        self,
        config: Config,
        channel: ChannelConfig,
        *,
        transport: NotificationTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        clock = clock or SystemClock()
        builder = MessageBuilder(Topics(config.mqtt.topic_prefix, config.node), config.node)
        self.name = people_sink(channel.name)
        self.unacknowledged_for = channel.unacknowledged_for
        self._channel = channel
        self._transport = transport or IsolatedTransport(channel)
        self._clock = clock
        self._renderer = NotificationRenderer(channel, builder, clock, AckTokenSigner.of(config))
        self._limit = BurstLimit(channel.burst, channel.digest, clock)
        self._pending: deque[Delivery] = deque()
        self._wakeup = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    @property
    def ready(self) -> bool:
        running = self._thread is not None and self._thread.is_alive() and not self._stopping
        return running and not self.paused

    @property
    def paused(self) -> bool:
        """Whether it is quiet hours, or the limit of a burst is reached; alerts stay in the outbox."""
        return self._limit.remaining <= 0 or in_quiet_hours(self._channel, self._clock.now())

    def start(
        self,
        report: Report,
        current_state: Callable[[], StateSnapshot],  # noqa: ARG002 - it publishes no state
        run_command: Callable[[Command], None],  # noqa: ARG002 - no command comes through this sink
    ) -> None:
        self._report = report
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def send(self, delivery: Delivery) -> None:
        self._pending.append(delivery)
        self._wakeup.set()

    def stop(self, timeout: float) -> None:
        """Send no more; what is being sent goes on, so that nothing need be sent twice."""
        self._stopping = True
        self._wakeup.set()
        if self._thread is not None:
            self._thread.join(timeout)

    # --- the sink's own thread ----------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            self._wakeup.wait()
            if self._pending:
                time.sleep(_GROUP_SECONDS)
            self._wakeup.clear()
            try:
                self._send_pending()
            except Exception:  # the thread's entry point: a thread that ended would never deliver again
                log.exception("%s: an internal error", self.name)
        for delivery in self._take_pending():
            self._report(DeliveryOutcome(delivery.id, *_STOPPED))

    def _send_pending(self) -> None:
        deliveries = [each for each in self._take_pending() if not self._skip(each)]
        if len(deliveries) <= self._limit.remaining:
            for delivery in deliveries:
                self._send_group([delivery])
        elif deliveries:
            self._send_group(deliveries)

    def _take_pending(self) -> Iterator[Delivery]:
        while self._pending:
            yield self._pending.popleft()

    def _skip(self, delivery: Delivery) -> bool:
        """Report a delivery that a rule of the channel excludes; return whether one does."""
        if not accepts(self._channel, delivery.subject):
            detail = "not for this channel"
        elif self.unacknowledged_for and delivery.acknowledged:
            detail = "acknowledged meanwhile, so not sent"
        else:
            return False
        self._report(DeliveryOutcome(delivery.id, DeliveryStatus.SKIPPED, detail))
        return True

    def _send_group(self, group: Sequence[Delivery]) -> None:
        status, detail = _STOPPED if self._stopping else self._notify(group)
        if status is DeliveryStatus.REFUSED and len(group) > 1:
            # One alert may have caused the refusal: the others must not be lost with it.
            half = len(group) // 2
            self._send_group(group[:half])
            self._send_group(group[half:])
            return
        for delivery in group:
            self._report(DeliveryOutcome(delivery.id, status, detail))

    def _notify(self, group: Sequence[Delivery]) -> tuple[DeliveryStatus, str]:
        render = self._renderer
        status, detail = self._transport.send(
            render.single(group[0]) if len(group) == 1 else render.digest(group)
        )
        if status is DeliveryStatus.ACCEPTED:
            self._limit.count()
        else:
            log.warning("%s: %s", self.name, detail)
        return status, detail
