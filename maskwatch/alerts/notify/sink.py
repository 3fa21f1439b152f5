"""The sink that tells people: routed, gathered, quiet at night, and told again if nobody reacts.

One sink per channel, so that a service that fails holds up no other. The outbox stays the only
queue: in quiet hours, and after a burst, the sink is simply not ready; what has gathered comes at
once when it is ready again, and goes out as one letter. Only what waits for an acknowledgement
(`unacknowledged_for`) waits here; after a restart it is taken up again from the database.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from maskwatch.alerts.mqtt.messages import MessageBuilder
from maskwatch.alerts.mqtt.topics import Topics
from maskwatch.alerts.notify.ack_links import AckTokenSigner
from maskwatch.alerts.notify.messages import Notification, NotificationRenderer
from maskwatch.alerts.notify.transports import NotificationTransport, make_transport
from maskwatch.alerts.sink import (
    Delivery,
    DeliveryOutcome,
    DeliveryStatus,
    Report,
    StatelessSink,
    StateSnapshot,
)
from maskwatch.clock import Clock, SystemClock
from maskwatch.config.schema import ChannelConfig, Config
from maskwatch.domain import Change, ChangeKind, DailyHours, Incident
from maskwatch.ipc.messages import Command

__all__ = ["NotificationSink", "is_quiet", "wants"]

log = logging.getLogger(__name__)

_WINDOW = 200
# How long more alerts are waited for before a letter is written.
_GATHER = 0.5
# After a restart, what became due so many seconds ago at most is told, perhaps for the second time.
_MISSED = 300.0
# Tries of a letter about something unacknowledged, and the pause between them.
_TRIES = 5
_AGAIN = 30.0


@dataclass(frozen=True, slots=True)
class _Held:
    """A violation that is told at `due` (monotonic seconds) unless somebody acknowledges it."""

    delivery: Delivery
    due: float
    tries: int = 0


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
        carrier: NotificationTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.name = f"people-{channel.name}"
        self._channel = channel
        self._carrier = carrier or make_transport(channel)
        self._clock = clock or SystemClock()
        composer = MessageBuilder(Topics(config.mqtt.topic_prefix, config.node), config.node)
        self._writer = NotificationRenderer(channel, composer, self._clock, AckTokenSigner.of(config))
        self._jobs: deque[Delivery] = deque()
        self._held: dict[str, _Held] = {}
        self._sent: deque[float] = deque()
        self._wake = threading.Event()
        self._stopping = False
        self._thread: threading.Thread | None = None

    @property
    def ready(self) -> bool:
        """Whether a letter may be written now: neither quiet hours nor the pause after a burst."""
        return self._thread is not None and not self._stopping and not self.paused

    @property
    def paused(self) -> bool:
        """Whether nobody is to be told now, and the outbox keeps what comes."""
        return self._resting() or is_quiet(self._channel, self._clock.now())

    def start(
        self,
        report: Report,
        current_state: Callable[[], StateSnapshot],
        run_command: Callable[[Command], None],  # noqa: ARG002 - no command comes this way
    ) -> None:
        """Begin to deliver."""
        self._report, self._current_state = report, current_state
        if self._channel.unacknowledged_for:
            self._take_up(current_state().unacknowledged)
        self._thread = threading.Thread(target=self._run, name=self.name, daemon=True)
        self._thread.start()

    def send(self, delivery: Delivery) -> None:
        """Take a delivery."""
        self._jobs.append(delivery)
        self._wake.set()

    def stop(self, timeout: float) -> None:
        """End; what has not been carried by then has failed, and comes again."""
        self._stopping = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(timeout)

    # --- our own thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(self._patience())
            if self._jobs:
                time.sleep(_GATHER)
            self._wake.clear()
            try:
                self._round()
            except Exception:  # the thread's entry point, so everything: a dead thread tells nobody
                log.exception("%s: a fault of maskwatch's own", self.name)
        self._fail(list(self._take()), "the sink has ended")

    def _round(self) -> None:
        wanted = []
        for delivery in self._take():
            if not wants(self._channel, delivery.subject):
                self._report(
                    DeliveryOutcome(delivery.id, DeliveryStatus.ACCEPTED, "not for this channel")
                )
            elif self._channel.unacknowledged_for:
                self._hold(delivery)
                self._report(
                    DeliveryOutcome(
                        delivery.id, DeliveryStatus.ACCEPTED, "held until it is acknowledged"
                    )
                )
            else:
                wanted.append(delivery)
        for group in self._groups(wanted):
            self._carry(group)
        self._tell_unacknowledged()

    def _take(self) -> Iterator[Delivery]:
        while self._jobs:
            yield self._jobs.popleft()

    def _groups(self, wanted: list[Delivery]) -> list[list[Delivery]]:
        """Return single alerts while the burst allows them, else all of them in one."""
        if len(self._recent()) + len(wanted) <= self._channel.burst:
            return [[delivery] for delivery in wanted]
        return [wanted] if wanted else []

    def _carry(self, group: list[Delivery]) -> None:
        fate, detail = self._post(self._letter(group))
        if fate is DeliveryStatus.REFUSED and len(group) > 1:
            # One alert may be to blame, and must not take the others with it.
            half = len(group) // 2
            self._carry(group[:half])
            self._carry(group[half:])
            return
        for delivery in group:
            self._report(DeliveryOutcome(delivery.id, fate, detail))

    def _letter(self, group: Sequence[Delivery]) -> Notification:
        return self._writer.single(group[0]) if len(group) == 1 else self._writer.digest(group)

    def _post(self, letter: Notification) -> tuple[DeliveryStatus, str]:
        fate, detail = self._carrier.carry(letter)
        if fate is DeliveryStatus.ACCEPTED:
            self._sent.append(self._clock.monotonic())
        else:
            log.warning("%s: %s", self.name, detail)
        return fate, detail

    def _recent(self) -> list[float]:
        """Return when the letters of the last `digest` seconds were sent."""
        since = self._clock.monotonic() - self._channel.digest
        return [moment for moment in list(self._sent)[-self._channel.burst :] if moment > since]

    def _resting(self) -> bool:
        return len(self._recent()) >= self._channel.burst

    def _fail(self, deliveries: Sequence[Delivery], detail: str) -> None:
        for delivery in deliveries:
            self._report(DeliveryOutcome(delivery.id, DeliveryStatus.FAILED, detail))

    # --- what nobody acknowledged -------------------------------------------------------------------

    def _hold(self, delivery: Delivery) -> None:
        assert isinstance(delivery.subject, Change)
        age = (self._clock.now() - delivery.subject.at).total_seconds()
        due = self._clock.monotonic() + max(0.0, self._channel.unacknowledged_for - age)
        self._held.setdefault(str(delivery.subject.violation.id), _Held(delivery, due))

    def _take_up(self, changes: Sequence[Change]) -> None:
        """Wait again for what a former run, or the sink before this one, has waited for."""
        longest = self._channel.unacknowledged_for + _MISSED
        for change in changes:
            age = (self._clock.now() - change.at).total_seconds()
            if age < longest and wants(self._channel, change):
                self._hold(Delivery(0, change, stored=True, picture=None))

    def _tell_unacknowledged(self) -> None:
        now = self._clock.monotonic()
        late = [key for key, held in self._held.items() if held.due <= now]
        if not late or is_quiet(self._channel, self._clock.now()):
            return
        acknowledged = {str(each) for each in self._current_state().acknowledged}
        due = [self._held.pop(key) for key in late]
        group = [held for held in due if _key(held) not in acknowledged]
        began = self._clock.now()
        for held in due:
            if held not in group:
                self._note(held, DeliveryStatus.ACCEPTED, "acknowledged meanwhile, so not told", began)
        if group:
            fate, detail = self._post(self._letter([held.delivery for held in group]))
            for held in group:
                self._note(held, self._again(held, now, fate, detail), detail, began)

    def _again(self, held: _Held, now: float, fate: DeliveryStatus, detail: str) -> DeliveryStatus:
        """Hold what could not be told a little longer; refused is what is given up."""
        if fate is DeliveryStatus.ACCEPTED:
            return fate
        if held.tries + 1 >= _TRIES:
            log.error("%s: violation %s could not be told: %s", self.name, _key(held), detail)
            return DeliveryStatus.REFUSED
        self._held[_key(held)] = _Held(held.delivery, now + _AGAIN, held.tries + 1)
        return DeliveryStatus.FAILED

    def _note(self, held: _Held, fate: DeliveryStatus, detail: str, began: datetime) -> None:
        """Report what became of a delivery that was taken before."""
        assert isinstance(held.delivery.subject, Change)
        self._report(DeliveryOutcome(held.delivery.id, fate, detail, held.delivery.subject, began))

    def _patience(self) -> float | None:
        return 1.0 if self._held else None


def _key(held: _Held) -> str:
    assert isinstance(held.delivery.subject, Change)
    return str(held.delivery.subject.violation.id)


def wants(channel: ChannelConfig, subject: Change | Incident) -> bool:
    """Return whether a channel is about this alert."""
    if isinstance(subject, Change):
        return channel.violations and _wants_change(channel, subject)
    camera = subject.camera
    if not channel.incidents or channel.unacknowledged_for:
        return False
    return not channel.cameras or not camera or camera in channel.cameras


def _wants_change(channel: ChannelConfig, change: Change) -> bool:
    told = {ChangeKind.OPENED}
    if channel.ended and not channel.unacknowledged_for:
        told.add(ChangeKind.CLOSED)
    violation = change.violation
    return (
        change.kind in told
        and (not channel.cameras or violation.camera in channel.cameras)
        and (not channel.zones or violation.zone in channel.zones)
    )


def is_quiet(channel: ChannelConfig, now: datetime) -> bool:
    """Return whether `now` lies in the channel's quiet hours; they may go past midnight."""
    start, end = channel.quiet_start, channel.quiet_end
    if not start or not end or start == end:
        return False
    return DailyHours.parse(start, end, channel.time_zone).contains(now)
