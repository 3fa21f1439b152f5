"""Sends the outbox's deliveries to one sink: the only place that retries them.

The outbox is the only queue. At most a window of deliveries is in flight, one of each subject. After
a failure the sink pauses with exponential backoff; a single delivery that keeps failing while others
are accepted is poison, and parked.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from datetime import datetime
from queue import SimpleQueue
from uuid import UUID

from maskwatch.alerts.sink import Delivery, DeliveryOutcome, DeliveryStatus, Sink
from maskwatch.backoff import Backoff, RetryTimer
from maskwatch.clock import Clock
from maskwatch.domain import Change, Incident
from maskwatch.ipc.token_bucket import TokenBucket
from maskwatch.recorder.unstored import Key, UnstoredBuffer, key_of
from maskwatch.store.models import OutboxState
from maskwatch.store.outbox import NEXT, DeliveryResult
from maskwatch.store.record import subject_id
from maskwatch.store.store import Store
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter

_log = logging.getLogger(__name__)
_BACKOFF = Backoff(first=0.5, cap=60.0, min_fraction=0.1)
_FAILURE_MEMORY = 3600.0  # seconds after which a failure that was not repeated no longer counts


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How deliveries to a sink are paced and retried.

    Attributes:
        backoff: of the sink after failures in a row, and of each delivery.
        max_strikes: failures of one delivery, each after another one was accepted, that make it poison.
        timeout: seconds after which a delivery without an outcome counts as failed.
        rate: the most deliveries sent per second.
    """

    backoff: Backoff = _BACKOFF
    max_strikes: int = 5
    timeout: float = 300.0
    rate: float = 500.0


@dataclass(slots=True)
class _InFlight:
    subject: Change | Incident
    attempt: int
    sent_at: datetime
    sent_monotonic: float


@dataclass(slots=True)
class _Failure:
    """One delivery that failed: when it is retried, and how often it failed while others did not."""

    timer: RetryTimer
    strikes: int = 0
    accepted_before: int = -1


class OutboxDelivery:
    """The deliveries to one sink. Everything but `report` runs on the recorder's thread.

    Set `outbox_changed` when changes were stored; the outbox is not read before.
    """

    def __init__(
        self,
        sink: Sink,
        unstored: UnstoredBuffer,
        *,
        clock: Clock,
        meter: Meter,
        policy: RetryPolicy | None = None,
    ) -> None:
        self.sink = sink
        self.outbox_changed = True
        self._unstored = unstored
        self._clock = clock
        self._meter = meter
        self._policy = policy or RetryPolicy()
        self._rng = random.Random()  # noqa: S311 - jitter is no secret
        self._sink_timer = RetryTimer(self._policy.backoff, self._rng)
        self._bucket = TokenBucket(self._policy.rate, self._policy.rate, clock.monotonic())
        self._in_flight: dict[int, _InFlight] = {}
        self._results: dict[Key, DeliveryResult] = {}  # not yet written
        self._follow_ups: list[DeliveryResult] = []  # not yet written
        self._failures: dict[Key, _Failure] = {}
        self._accepted_count = 0
        self._unstored_ids = 0
        self._outcomes: SimpleQueue[DeliveryOutcome] = SimpleQueue()

    def report(self, outcome: DeliveryOutcome) -> None:
        """Take an outcome; may be called from any thread."""
        self._outcomes.put(outcome)

    @property
    def idle(self) -> bool:
        """Whether nothing is in flight and every result is written."""
        busy = self._in_flight or self._results or self._follow_ups
        return not busy and self._outcomes.empty()

    # --- outcomes -----------------------------------------------------------------------------------

    def collect(self) -> None:
        """Process the reported outcomes, and fail the deliveries whose outcome never came."""
        while not self._outcomes.empty():
            self._process(self._outcomes.get())
        now = self._clock.monotonic()
        sent_before = now - self._policy.timeout
        in_flight = self._in_flight
        for delivery in [key for key, each in in_flight.items() if each.sent_monotonic < sent_before]:
            self._process(
                DeliveryOutcome(delivery, DeliveryStatus.FAILED, "the sink reported no outcome")
            )
        failed_before, failures = now - _FAILURE_MEMORY, self._failures
        for key in [key for key, each in failures.items() if each.timer.retry_at < failed_before]:
            del failures[key]  # it was parked or superseded since

    def _process(self, outcome: DeliveryOutcome) -> None:
        if outcome.follow_up is not None:
            self._process_follow_up(outcome, outcome.follow_up)
            return
        sent = self._in_flight.pop(outcome.delivery, None)
        if sent is None:
            return
        self.outbox_changed = True
        self._meter.add(catalogue.ALERTS, {"sink": self.sink.name, "fate": outcome.status.value})
        key = key_of(sent.subject)
        match outcome.status:
            case DeliveryStatus.ACCEPTED:
                self._accepted(sent)
                _log.debug("alert delivered", extra=self._log_context(key))
                state = OutboxState.DELIVERED
            case DeliveryStatus.REFUSED:
                _log.error("alert refused: %s", outcome.detail, extra=self._log_context(key))
                state = OutboxState.PARKED
            case DeliveryStatus.FAILED:
                state = self._failed(key, outcome.detail)
        if state is not OutboxState.PENDING:
            self._failures.pop(key, None)
        self._results[key] = self._result(sent, outcome, state)

    def _process_follow_up(self, outcome: DeliveryOutcome, change: Change) -> None:
        refused = outcome.status is DeliveryStatus.REFUSED
        state = OutboxState.PARKED if refused else OutboxState.DELIVERED
        attempted_at = outcome.attempted_at or self._clock.now()
        sent = _InFlight(change, NEXT, attempted_at, self._clock.monotonic())
        self._follow_ups.append(self._result(sent, outcome, state))

    def _accepted(self, sent: _InFlight) -> None:
        self._accepted_count += 1
        self._sink_timer.succeeded()
        if isinstance(sent.subject, Change):
            elapsed = (self._clock.now() - sent.subject.at).total_seconds()
            labels = {"sink": self.sink.name}
            self._meter.observe(catalogue.CAPTURE_TO_PUBLISH_SECONDS, max(0.0, elapsed), labels)

    def _failed(self, key: Key, detail: str) -> OutboxState:
        now = self._clock.monotonic()
        failure = self._failures.get(key)
        if failure is None:
            failure = _Failure(RetryTimer(self._policy.backoff, self._rng))
            self._failures[key] = failure
        failure.timer.failed(now)
        if failure.accepted_before not in {-1, self._accepted_count}:
            failure.strikes += 1
        failure.accepted_before = self._accepted_count
        if failure.strikes >= self._policy.max_strikes:
            _log.error("alert fails repeatedly, parked: %s", detail, extra=self._log_context(key))
            return OutboxState.PARKED
        if self._sink_timer.due(now):  # one step per pause, not one per delivery that was in flight
            wait = self._sink_timer.failed(now)
            _log.warning(
                "delivery failed, retrying in %.1f s: %s", wait, detail, extra=self._log_context(key)
            )
        return OutboxState.PENDING

    def _log_context(self, key: Key) -> dict[str, str]:
        subject, number = key
        return {"sink": self.sink.name, "alert": f"{subject}:{number}"}

    def _result(self, sent: _InFlight, outcome: DeliveryOutcome, state: OutboxState) -> DeliveryResult:
        subject, number = key_of(sent.subject)
        return DeliveryResult(
            sink=self.sink.name,
            subject=subject,
            number=number,
            state=state,
            attempt=sent.attempt,
            sent_at=sent.sent_at,
            ended_at=self._clock.now(),
            fate=outcome.status.value,
            detail=outcome.detail,
        )

    def write(self, store: Store | None) -> None:
        """Write the results; those that are not written, without a store or on its error, are kept."""
        results = self._results
        for key, result in list(results.items()):
            if self._write_unstored(key, result):
                del results[key]
        if store is None:
            return
        if results:
            store.outbox.store_results(list(results.values()))
            results.clear()
        if self._follow_ups:
            store.outbox.store_results(self._follow_ups)
            self._follow_ups = []

    def _write_unstored(self, key: Key, result: DeliveryResult) -> bool:
        if result.state is OutboxState.DELIVERED:
            return self._unstored.mark_delivered(key, self.sink.name)
        if result.state is OutboxState.PARKED:
            return self._unstored.mark_refused(key, self.sink.name)
        return self._unstored.holds(key)

    # --- sending ------------------------------------------------------------------------------------

    def send_due(self, store: Store | None) -> None:
        """Send what the sink may take now; without a store only what is held in memory."""
        now = self._clock.monotonic()
        if not (self.sink.ready and self._sink_timer.due(now)):
            return
        if not (self.outbox_changed or self._unstored):
            return
        room = min(self.sink.window - len(self._in_flight), int(self._bucket.available(now)))
        if room <= 0:
            return
        if store is not None:
            room -= self._send_stored(store, room, now)
        self._send_unstored(store, room, now)

    def _blocked(self, now: float) -> set[UUID]:
        """Return the subjects of which nothing may be sent: in flight, not yet written, or pausing."""
        in_flight = {subject_id(sent.subject) for sent in self._in_flight.values()}
        pausing = {key[0] for key, each in self._failures.items() if not each.timer.due(now)}
        return in_flight | pausing | {subject for subject, _ in self._results}

    def _send_stored(self, store: Store, room: int, now: float) -> int:
        blocked = self._blocked(now)
        pending = store.outbox.waiting(self.sink.name, room + len(blocked))
        due = [item for item in pending if subject_id(item.subject) not in blocked][:room]
        self.outbox_changed = bool(due) or bool(self._failures)
        for item in due:
            self._send(
                Delivery(
                    item.id,
                    item.subject,
                    stored=True,
                    picture=store.pictures.path(item.picture),
                    attempt=item.attempts + 1,
                )
            )
        return len(due)

    def _send_unstored(self, store: Store | None, room: int, now: float) -> None:
        if not self._unstored or room <= 0:
            return
        blocked = self._blocked(now)
        for entry in list(self._unstored.deliverable(self.sink.name)):
            key = key_of(entry.subject)
            if room <= 0:
                return
            if key[0] in blocked or not self._is_next(store, key):
                continue
            room -= 1
            self._unstored_ids -= 1
            failure = self._failures.get(key)
            self._send(
                Delivery(
                    self._unstored_ids,
                    entry.subject,
                    stored=False,
                    picture=None,
                    attempt=failure.timer.failures + 1 if failure else 1,
                )
            )

    def _is_next(self, store: Store | None, key: Key) -> bool:
        """Return whether no change of this subject must be sent first; False if that is unknown."""
        subject, number = key
        if number == 1 or self._unstored.holds((subject, number - 1)):
            return True  # of the changes in memory the lowest number comes first
        return store is not None and not store.outbox.earlier_pending(self.sink.name, subject, number)

    def _send(self, delivery: Delivery) -> None:
        now = self._clock.monotonic()
        self._bucket.spend(1.0, now)
        self._in_flight[delivery.id] = _InFlight(
            delivery.subject, delivery.attempt, self._clock.now(), now
        )
        self.sink.send(delivery)
