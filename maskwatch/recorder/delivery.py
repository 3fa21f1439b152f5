"""Sends the outbox's deliveries to one sink: the only place that retries them.

The outbox is the only queue. At most a window of deliveries is in flight, one of each subject.
`Retries` decides what is sent after failures, and what is parked.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from queue import SimpleQueue
from uuid import UUID

from maskwatch.alerts.sink import Delivery, DeliveryOutcome, DeliveryStatus, Sink
from maskwatch.clock import Clock
from maskwatch.domain import Change, Incident
from maskwatch.ipc.token_bucket import TokenBucket
from maskwatch.recorder.acknowledgement_wait import AcknowledgementWait
from maskwatch.recorder.retries import Choice, Retries, RetryPolicy
from maskwatch.recorder.unstored import Key, UnstoredBuffer, key_of
from maskwatch.store.models import OutboxState
from maskwatch.store.outbox import DeliveryResult
from maskwatch.store.record import subject_id
from maskwatch.store.store import Store
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter

_log = logging.getLogger(__name__)
_MIN_PAGE = 20  # rows to read at once: many of them may have to wait


@dataclass(slots=True)
class _InFlight:
    subject: Change | Incident
    choice: Choice
    accepted_before: int
    sent_at: datetime
    sent_monotonic: float


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
        self._retries = Retries(self._policy)
        self._wait = AcknowledgementWait(sink.unacknowledged_for, clock)
        self._bucket = TokenBucket(self._policy.rate, self._policy.rate, clock.monotonic())
        self._in_flight: dict[int, _InFlight] = {}
        self._results: dict[Key, DeliveryResult] = {}  # not yet written
        self._look_at = math.inf  # monotonic: when more may be sent than at the last look
        self._unstored_ids = 0
        self._outcomes: SimpleQueue[DeliveryOutcome] = SimpleQueue()

    def report(self, outcome: DeliveryOutcome) -> None:
        """Take an outcome; may be called from any thread."""
        self._outcomes.put(outcome)

    @property
    def idle(self) -> bool:
        """Whether nothing is in flight and every result is written."""
        return not (self._in_flight or self._results) and self._outcomes.empty()

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
        self._retries.forget_old(now)

    def _process(self, outcome: DeliveryOutcome) -> None:
        sent = self._in_flight.pop(outcome.delivery, None)
        if sent is None:
            return
        self.outbox_changed = True
        self._meter.add(catalogue.ALERTS, {"sink": self.sink.name, "fate": outcome.status.value})
        key = key_of(sent.subject)
        match outcome.status:
            case DeliveryStatus.ACCEPTED:
                self._accepted(sent, key)
                state = OutboxState.DELIVERED
            case DeliveryStatus.SKIPPED:
                state = OutboxState.DELIVERED
            case DeliveryStatus.REFUSED | DeliveryStatus.FAILED:
                state = self._failed(sent, key, outcome)
        if state is not OutboxState.PENDING:
            self._retries.finished(key)
            self._wait.forget(key[0])
        self._results[key] = self._result(sent, outcome, state)

    def _accepted(self, sent: _InFlight, key: Key) -> None:
        self._retries.accepted(key)
        _log.debug("alert delivered", extra=self._log_context(key))
        if isinstance(sent.subject, Change):
            elapsed = (self._clock.now() - sent.subject.at).total_seconds()
            labels = {"sink": self.sink.name}
            self._meter.observe(catalogue.CAPTURE_TO_PUBLISH_SECONDS, max(0.0, elapsed), labels)

    def _failed(self, sent: _InFlight, key: Key, outcome: DeliveryOutcome) -> OutboxState:
        now, detail, context = self._clock.monotonic(), outcome.detail, self._log_context(key)
        pause = self._retries.failed(key, outcome, sent.choice, sent.accepted_before, now)
        if pause is None:
            _log.error("alert fails repeatedly, parked: %s", detail, extra=context)
            return OutboxState.PARKED
        if pause:
            _log.warning("delivery failed, retrying in %.1f s: %s", pause, detail, extra=context)
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
            self.outbox_changed = True  # the next change of a subject may be sent

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
        if not self.sink.ready:
            return
        if self._wait.release_due() or now >= self._look_at:
            self.outbox_changed = True
        if self.outbox_changed or self._unstored:
            self._look(store, now)

    def _look(self, store: Store | None, now: float) -> None:
        """Send what may be sent now, and determine when to look again."""
        choice = self._retries.choice(now)
        room = self._room(choice, now)
        if room <= 0:
            return
        found = self._find(choice, store, room, now)
        if not found and choice is Choice.OTHER and self._retries.may_repeat(now):
            choice = Choice.OLDEST
            found = self._find(choice, store, room, now)
        for delivery in found:
            self._send(delivery, choice)
        self.outbox_changed = bool(found)
        self._look_at = self._retries.next_change(now)

    def _room(self, choice: Choice, now: float) -> int:
        """Return how many deliveries may be sent: after failures one at a time."""
        room = min(self.sink.window - len(self._in_flight), int(self._bucket.available(now)))
        if choice is Choice.ALL:
            return room
        trying = any(sent.choice is not Choice.ALL for sent in self._in_flight.values())
        return 0 if trying or choice is Choice.NOTHING else min(room, 1)

    def _find(self, choice: Choice, store: Store | None, room: int, now: float) -> list[Delivery]:
        """Return up to `room` deliveries to send: those in the store before those in memory."""
        blocked = self._blocked(choice, now)
        found = list(islice(self._stored(choice, store, room, blocked), room)) if store else []
        return found + list(islice(self._in_memory(choice, store, blocked), room - len(found)))

    def _blocked(self, choice: Choice, now: float) -> set[UUID]:
        """Return the subjects of which nothing may be sent: in flight, not yet written, or waiting."""
        in_flight = {subject_id(sent.subject) for sent in self._in_flight.values()}
        blocked = in_flight | {subject for subject, _ in self._results} | set(self._wait.waiting)
        match choice:
            case Choice.ALL:
                return blocked | self._retries.pausing(now)
            case Choice.OTHER | Choice.NEW:
                return blocked | self._retries.tried
            case Choice.OLDEST | Choice.NOTHING:
                return blocked

    def _stored(self, choice: Choice, store: Store, room: int, blocked: set[UUID]) -> Iterator[Delivery]:
        """Yield what may be sent from the store, in order; `blocked` grows by what was looked at."""
        fewest = choice in {Choice.OTHER, Choice.NEW}
        limit = max(room, _MIN_PAGE)
        while True:
            page = store.outbox.waiting(self.sink.name, limit, blocked, fewest_attempts=fewest)
            for item in page:
                blocked.add(subject_id(item.subject))
                if not item.acknowledged and self._wait.holds(item.subject):
                    continue
                if choice is Choice.NEW and item.attempts:
                    return
                yield Delivery(
                    item.id,
                    item.subject,
                    stored=True,
                    picture=store.pictures.path(item.picture),
                    failures=self._retries.failures(key_of(item.subject)),
                    acknowledged=item.acknowledged,
                )
            if len(page) < limit:
                return

    def _in_memory(self, choice: Choice, store: Store | None, blocked: set[UUID]) -> Iterator[Delivery]:
        """Yield what may be sent from memory."""
        for entry in list(self._unstored.deliverable(self.sink.name)):
            key = key_of(entry.subject)
            if key[0] in blocked or self._wait.holds(entry.subject) or not self._is_next(store, key):
                continue
            if choice is Choice.NEW and self._retries.has_failed(key):
                continue
            self._unstored_ids -= 1
            yield Delivery(
                self._unstored_ids,
                entry.subject,
                stored=False,
                picture=None,
                failures=self._retries.failures(key),
            )

    def _is_next(self, store: Store | None, key: Key) -> bool:
        """Return whether no change of this subject must be sent first; False if that is unknown."""
        subject, number = key
        if number == 1 or self._unstored.holds((subject, number - 1)):
            return True  # of the changes in memory the lowest number comes first
        return store is not None and not store.outbox.earlier_pending(self.sink.name, subject, number)

    def _send(self, delivery: Delivery, choice: Choice) -> None:
        now = self._clock.monotonic()
        self._bucket.spend(1.0, now)
        self._in_flight[delivery.id] = _InFlight(
            delivery.subject, choice, self._retries.accepted_count, self._clock.now(), now
        )
        self.sink.send(delivery)
