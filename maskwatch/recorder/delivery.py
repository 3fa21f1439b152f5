"""Takes deliveries to one sink: the only place that retries them.

The outbox is the only queue. At most a window of deliveries is out, one of each subject. After a
failure the sink rests for a random part of a growing time; a single delivery that keeps failing
while others are taken is poison, and parked.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass, field
from datetime import datetime
from queue import SimpleQueue
from uuid import UUID

from maskwatch.alerts.sink import Delivery, DeliveryOutcome, DeliveryStatus, Sink
from maskwatch.clock import Clock
from maskwatch.domain import Change, Incident
from maskwatch.recorder.unstored import Key, UnstoredBuffer, key_of
from maskwatch.store.database import Store
from maskwatch.store.models import OutboxState
from maskwatch.store.outbox import NEXT, DeliveryResult
from maskwatch.store.record import subject_id
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter

__all__ = ["OutboxDelivery", "RetryPolicy"]

_log = logging.getLogger(__name__)
_FORGIVEN = 3600.0  # seconds after which a failure that was not repeated counts no longer


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a courier tries again.

    Attributes:
        first, longest: bounds in seconds of the growing time of which a rest is a random part.
        strikes: failures, each with another delivery taken since the one before, that make poison.
        silence: seconds after which a delivery without an outcome counts as failed.
        rate: most deliveries handed over per second.

    """

    first: float = 0.5
    longest: float = 60.0
    strikes: int = 5
    silence: float = 300.0
    rate: float = 500.0


@dataclass(slots=True)
class _InFlight:
    subject: Change | Incident
    attempt: int
    sent_at: datetime
    sent: float


@dataclass(slots=True)
class _Failure:
    """One delivery that failed: when it may go again, and how it failed while others went well."""

    until: float = 0.0
    failures: int = 0
    strikes: int = 0
    accepted_then: int = -1


@dataclass(slots=True)
class _Backoff:
    """The sink's own pause after failures in a row."""

    until: float = 0.0
    failures: int = 0


@dataclass(slots=True)
class _State:
    """What is out, what came back and is not written yet, what failed, what came after the end."""

    out: dict[int, _InFlight] = field(default_factory=dict)
    done: dict[Key, DeliveryResult] = field(default_factory=dict)
    trouble: dict[Key, _Failure] = field(default_factory=dict)
    late: list[DeliveryResult] = field(default_factory=list)


class OutboxDelivery:
    """One sink's deliveries. Everything but `report` runs on the recorder's thread."""

    def __init__(
        self,
        sink: Sink,
        memory: UnstoredBuffer,
        *,
        clock: Clock,
        meter: Meter,
        pace: RetryPolicy | None = None,
    ) -> None:
        self.sink = sink
        self._memory = memory
        self._clock = clock
        self._meter = meter
        self._pace = pace or RetryPolicy()
        self._books = _State()
        self._rest = _Backoff()
        self._accepted = 0
        self._outcomes: SimpleQueue[DeliveryOutcome] = SimpleQueue()
        self._unstored_ids = 0
        self._allowance = self._pace.rate
        self._allowed_at = clock.monotonic()
        self.dirty = True

    def report(self, outcome: DeliveryOutcome) -> None:
        """Take an outcome; may be called from any thread."""
        self._outcomes.put(outcome)

    @property
    def idle(self) -> bool:
        """Whether nothing is out and everything that came back is written."""
        books = self._books
        return not (books.out or books.done or books.late) and self._outcomes.empty()

    # --- what came back ---------------------------------------------------------------------------

    def collect(self) -> None:
        """Book the outcomes that were reported, and those that never will be."""
        while not self._outcomes.empty():
            self._book(self._outcomes.get())
        too_old = self._clock.monotonic() - self._pace.silence
        for delivery in [key for key, flight in self._books.out.items() if flight.sent < too_old]:
            self._book(DeliveryOutcome(delivery, DeliveryStatus.FAILED, "the sink reported no outcome"))
        long_ago = self._clock.monotonic() - _FORGIVEN
        for key in [key for key, trouble in self._books.trouble.items() if trouble.until < long_ago]:
            del self._books.trouble[key]  # it was parked or overtaken since

    def _book(self, outcome: DeliveryOutcome) -> None:
        if outcome.follow_up is not None:
            self._book_late(outcome, outcome.follow_up)
            return
        flight = self._books.out.pop(outcome.delivery, None)
        if flight is None:
            return
        self.dirty = True
        self._meter.add(catalogue.ALERTS, {"sink": self.sink.name, "fate": outcome.status.value})
        key = key_of(flight.subject)
        match outcome.status:
            case DeliveryStatus.ACCEPTED:
                self._took(flight)
                _log.debug("alert delivered", extra=self._of(key))
                state = OutboxState.DELIVERED
            case DeliveryStatus.REFUSED:
                _log.error("alert refused: %s", outcome.detail, extra=self._of(key))
                state = OutboxState.PARKED
            case DeliveryStatus.FAILED:
                state = self._failed(key, outcome.detail)
        if state is not OutboxState.PENDING:
            self._books.trouble.pop(key, None)
        self._books.done[key] = self._settled(flight, outcome, state)

    def _book_late(self, outcome: DeliveryOutcome, change: Change) -> None:
        refused = outcome.status is DeliveryStatus.REFUSED
        state = OutboxState.PARKED if refused else OutboxState.DELIVERED
        flight = _InFlight(
            change, NEXT, outcome.attempted_at or self._clock.now(), self._clock.monotonic()
        )
        self._books.late.append(self._settled(flight, outcome, state))

    def _took(self, flight: _InFlight) -> None:
        self._accepted += 1
        self._rest = _Backoff()
        if isinstance(flight.subject, Change):
            elapsed = (self._clock.now() - flight.subject.at).total_seconds()
            bounds = catalogue.METRICS[catalogue.CAPTURE_TO_PUBLISH_SECONDS].buckets
            labels = {"sink": self.sink.name}
            self._meter.observe(catalogue.CAPTURE_TO_PUBLISH_SECONDS, max(0.0, elapsed), bounds, labels)

    def _failed(self, key: Key, detail: str) -> OutboxState:
        now = self._clock.monotonic()
        trouble = self._books.trouble.setdefault(key, _Failure())
        trouble.failures += 1
        trouble.until = now + self._pause(trouble.failures)
        if trouble.accepted_then not in {-1, self._accepted}:
            trouble.strikes += 1
        trouble.accepted_then = self._accepted
        if trouble.strikes >= self._pace.strikes:
            _log.error("alert fails always, parked: %s", detail, extra=self._of(key))
            return OutboxState.PARKED
        if now >= self._rest.until:  # one step per rest, not one per delivery that was out
            self._rest.failures += 1
            self._rest.until = now + self._pause(self._rest.failures)
            pause = self._rest.until - now
            _log.warning("delivery failed, next in %.1f s: %s", pause, detail, extra=self._of(key))
        return OutboxState.PENDING

    def _of(self, key: Key) -> dict[str, str]:
        """Return what a log line says it is about."""
        subject, number = key
        return {"sink": self.sink.name, "alert": f"{subject}:{number}"}

    def _pause(self, failures: int) -> float:
        ceiling = min(self._pace.longest, self._pace.first * 2.0 ** min(failures - 1, 30))
        return random.uniform(0.1, 1.0) * ceiling  # noqa: S311 - spreads retries, guards no secret

    def _settled(
        self, flight: _InFlight, outcome: DeliveryOutcome, state: OutboxState
    ) -> DeliveryResult:
        subject, number = key_of(flight.subject)
        return DeliveryResult(
            sink=self.sink.name,
            subject=subject,
            number=number,
            state=state,
            attempt=flight.attempt,
            sent_at=flight.sent_at,
            ended_at=self._clock.now(),
            fate=outcome.status.value,
            detail=outcome.detail,
        )

    def write(self, store: Store | None) -> None:
        """Write what came back; without a store, or on an error of it, all of that stays booked."""
        done = self._books.done
        for key, settled in list(done.items()):
            if self._settle_in_memory(key, settled):
                del done[key]
        if store is None:
            return
        if done:
            store.settle(list(done.values()))
            done.clear()
        if self._books.late:
            store.settle(self._books.late)
            self._books.late = []

    def _settle_in_memory(self, key: Key, settled: DeliveryResult) -> bool:
        if settled.state is OutboxState.DELIVERED:
            return self._memory.delivered(key, self.sink.name)
        if settled.state is OutboxState.PARKED:
            return self._memory.refused(key, self.sink.name)
        return self._memory.holds(key)

    # --- what may go --------------------------------------------------------------------------------

    def pump(self, store: Store | None) -> None:
        """Hand the sink what it may take now; without a store only what is in memory."""
        now = self._clock.monotonic()
        self._allowance = min(
            self._pace.rate, self._allowance + (now - self._allowed_at) * self._pace.rate
        )
        self._allowed_at = now
        if not self.sink.ready or now < self._rest.until or not (self.dirty or self._memory):
            return
        room = min(self.sink.window - len(self._books.out), int(self._allowance))
        if room <= 0:
            return
        if store is not None:
            room -= self._pump_stored(store, room, now)
        self._pump_unstored(store, room, now)

    def _blocked(self, now: float) -> set[UUID]:
        """Return the subjects of which nothing may go now: one is out, or not booked, or rests."""
        out = {subject_id(flight.subject) for flight in self._books.out.values()}
        resting = {key[0] for key, trouble in self._books.trouble.items() if now < trouble.until}
        return out | resting | {subject for subject, _ in self._books.done}

    def _pump_stored(self, store: Store, room: int, now: float) -> int:
        blocked = self._blocked(now)
        found = store.waiting(self.sink.name, room + len(blocked))
        free = [item for item in found if subject_id(item.subject) not in blocked][:room]
        self.dirty = bool(free) or bool(self._books.trouble)
        for item in free:
            self._send(
                Delivery(
                    item.id,
                    item.subject,
                    stored=True,
                    picture=store.picture_path(item.picture),
                    attempt=item.attempts + 1,
                )
            )
        return len(free)

    def _pump_unstored(self, store: Store | None, room: int, now: float) -> None:
        if not self._memory or room <= 0:
            return
        blocked = self._blocked(now)
        for entry in list(self._memory.waiting(self.sink.name)):
            key = key_of(entry.subject)
            if room <= 0:
                return
            if key[0] in blocked or not self._next(store, key):
                continue
            room -= 1
            self._unstored_ids -= 1
            trouble = self._books.trouble.get(key, _Failure())
            self._send(
                Delivery(
                    self._unstored_ids,
                    entry.subject,
                    stored=False,
                    picture=None,
                    attempt=trouble.failures + 1,
                )
            )

    def _next(self, store: Store | None, key: Key) -> bool:
        """Return whether nothing of this subject must go before it; False while that can't be seen."""
        subject, number = key
        if number == 1 or self._memory.holds((subject, number - 1)):
            return True  # of what is in memory the lowest number comes first
        return store is not None and not store.earlier_pending(self.sink.name, subject, number)

    def _send(self, delivery: Delivery) -> None:
        self._allowance -= 1
        self._books.out[delivery.id] = _InFlight(
            delivery.subject, delivery.attempt, self._clock.now(), self._clock.monotonic()
        )
        self.sink.send(delivery)
