"""Deliveries are sent in order, within the window, retried after failures, and parked as poison."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskwatch.alerts.sink import Delivery, DeliveryStatus
from maskwatch.clock import ManualClock
from maskwatch.domain import Change
from maskwatch.recorder.delivery import OutboxDelivery
from maskwatch.recorder.retries import RetryPolicy
from maskwatch.recorder.unstored import UnstoredBuffer, key_of
from maskwatch.store.outbox import Backlog
from maskwatch.store.record import Entry
from maskwatch.store.store import Store
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter
from tests.fakes.samples import START, change, entry, make_store, violation_id
from tests.fakes.sink import FakeSink


@dataclass
class DeliveryHarness:
    """A delivery between a store and a sink, with a manual clock."""

    store: Store
    sink: FakeSink = field(default_factory=FakeSink)
    clock: ManualClock = field(default_factory=lambda: ManualClock(START))
    unstored: UnstoredBuffer = field(default_factory=UnstoredBuffer)
    meter: Meter = field(default_factory=Meter)

    def __post_init__(self) -> None:
        self.delivery = self.new_delivery()

    def new_delivery(self, policy: RetryPolicy | None = None) -> OutboxDelivery:
        """A delivery as after a restart: without any state but the store's."""
        delivery = OutboxDelivery(
            self.sink, self.unstored, clock=self.clock, meter=self.meter, policy=policy
        )
        self.sink.report = delivery.report
        return delivery

    def record(self, *changes: Change) -> None:
        self.store.changes.record([entry(item) for item in changes])
        self.delivery.outbox_changed = True

    def turn(self, *, stored: bool = True) -> list[str]:
        """One turn of the recorder's loop; return the alert ids that are out now."""
        store = self.store if stored else None
        self.delivery.collect()
        self.delivery.write(store)
        self.delivery.send_due(store)
        return [name_of(delivery) for delivery in self.sink.out]

    def wait(self, seconds: float) -> list[str]:
        self.clock.advance(seconds)
        return self.turn()

    def refuse_while_others_pass(
        self, name: str, status: DeliveryStatus, *, correctable: bool = False
    ) -> int:
        """Let one alert fail until it is parked, and accept others; return how many."""
        for others in range(1, 200):
            self.record(change(others))
            self.wait(60 if correctable or status is DeliveryStatus.FAILED else 4)
            for delivery in list(self.sink.out):
                if name_of(delivery) == name:
                    self.sink.end(delivery, status, "as configured", correctable=correctable)
                else:
                    self.sink.end(delivery)
            self.turn()
            if self.store.outbox.backlog("mqtt").parked:
                return others
        raise AssertionError("it was never parked")


def name_of(delivery: Delivery) -> str:
    """The violation's index and the change's number."""
    subject, number = key_of(delivery.subject)
    return f"{subject.int & 0xFFFF}:{number}"


def violation_index(delivery: Delivery) -> int:
    return int(name_of(delivery).split(":")[0])


class JumpedClock(ManualClock):
    """The same moment as another clock, whose wall time has jumped."""

    def __init__(self, other: ManualClock, hours: float) -> None:
        super().__init__(other.now() + timedelta(hours=hours))
        self._monotonic = other.monotonic()


@pytest.fixture
def harness(store: Store) -> Iterator[DeliveryHarness]:
    return DeliveryHarness(store)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = make_store(tmp_path / "data")
    yield opened
    opened.close()


def test_an_accepted_alert_is_not_sent_again_after_a_restart_either(harness: DeliveryHarness) -> None:
    harness.record(change(1))
    assert harness.turn() == ["1:1"]
    harness.sink.end(harness.sink.out[0])
    assert harness.turn() == []
    harness.delivery = harness.new_delivery()
    assert harness.turn() == []


def test_an_alert_is_marked_only_after_its_acceptance(harness: DeliveryHarness) -> None:
    harness.record(change(1))
    harness.turn()
    assert harness.turn() == ["1:1"]
    assert harness.store.outbox.backlog("mqtt").pending == 1
    harness.sink.out.clear()  # the recorder is killed now
    harness.delivery = harness.new_delivery()
    assert harness.turn() == ["1:1"]


def test_no_more_than_the_window_is_in_flight(harness: DeliveryHarness) -> None:
    harness.record(*(change(index) for index in range(10)))
    assert harness.turn() == ["0:1", "1:1", "2:1", "3:1"]
    harness.sink.end(harness.sink.out[1])
    assert harness.turn() == ["0:1", "2:1", "3:1", "4:1"]


def test_only_one_change_of_a_violation_is_in_flight(harness: DeliveryHarness) -> None:
    harness.record(change(1), change(1, 2), change(2))
    assert harness.turn() == ["1:1", "2:1"]
    harness.sink.end(harness.sink.out[0])
    assert harness.turn() == ["2:1", "1:2"]


def test_nothing_is_sent_while_the_sink_is_not_ready(harness: DeliveryHarness) -> None:
    harness.sink.ready = False
    harness.record(change(1))
    assert harness.wait(3600) == []
    harness.sink.ready = True
    assert harness.turn() == ["1:1"]


def test_after_a_failure_the_sink_pauses_and_the_alert_is_sent_again(harness: DeliveryHarness) -> None:
    harness.record(change(1))
    harness.turn()
    harness.sink.end(harness.sink.out[0], DeliveryStatus.FAILED, "broken pipe")
    assert harness.turn() == []
    assert harness.wait(0.5) == ["1:1"]
    assert harness.sink.out[0].failures == 1


def test_the_pause_grows_up_to_its_cap_and_ends_with_the_first_success(harness: DeliveryHarness) -> None:
    harness.record(change(1))
    harness.turn()
    waits = []
    for _ in range(14):
        harness.sink.end(harness.sink.out[0], DeliveryStatus.FAILED)
        harness.turn()
        before = harness.clock.monotonic()
        while not harness.sink.out:
            harness.wait(0.4)
        waits.append(harness.clock.monotonic() - before)
    assert max(waits[:3]) < 2.5
    assert max(waits) > 6
    assert max(waits) <= 60.5
    harness.sink.end(harness.sink.out[0])
    harness.record(change(2))
    assert harness.turn() == ["2:1"]


def test_a_broken_connection_with_a_full_window_is_one_failure_not_many(
    harness: DeliveryHarness,
) -> None:
    harness.record(*(change(index) for index in range(4)))
    harness.turn()
    for delivery in list(harness.sink.out):
        harness.sink.end(delivery, DeliveryStatus.FAILED)
    harness.turn()
    assert harness.wait(0.5) == ["0:1"]
    harness.sink.end(harness.sink.out[0])
    assert harness.turn() == ["1:1", "2:1", "3:1"]


def test_a_refused_alert_is_parked_with_the_later_changes_of_its_violation(
    harness: DeliveryHarness,
) -> None:
    harness.record(change(0), change(0, 2))
    others = harness.refuse_while_others_pass("0:1", DeliveryStatus.REFUSED)
    assert others < 30
    harness.record(change(0, 3))
    assert harness.wait(3600) == []
    assert harness.store.outbox.backlog("mqtt").parked == 3


@pytest.mark.parametrize(
    ("status", "correctable", "seconds"),
    [
        (DeliveryStatus.REFUSED, False, 30),
        (DeliveryStatus.REFUSED, True, 3600),
        (DeliveryStatus.FAILED, False, 3600),
    ],
)
def test_an_alert_that_fails_while_others_are_accepted_is_parked_after_a_time(
    harness: DeliveryHarness, status: DeliveryStatus, correctable: bool, seconds: float
) -> None:
    harness.record(change(0))
    harness.refuse_while_others_pass("0:1", status, correctable=correctable)
    assert seconds <= harness.clock.monotonic() < seconds + 200
    assert harness.store.outbox.backlog("mqtt").pending == 0


@pytest.mark.parametrize("status", [DeliveryStatus.REFUSED, DeliveryStatus.FAILED])
def test_while_everything_fails_nothing_is_parked(
    harness: DeliveryHarness, status: DeliveryStatus
) -> None:
    harness.record(*(change(index) for index in range(30)))
    for _ in range(40):
        for delivery in list(harness.sink.out):
            harness.sink.end(delivery, status)
        harness.wait(61)
    assert harness.store.outbox.backlog("mqtt") == Backlog(30, START, 0)


def test_what_a_rule_excludes_is_no_sign_that_a_sink_works(harness: DeliveryHarness) -> None:
    harness.record(*(change(index) for index in range(10)))
    for _ in range(40):
        for delivery in list(harness.sink.out):
            excluded = violation_index(delivery) % 2
            harness.sink.end(delivery, DeliveryStatus.SKIPPED if excluded else DeliveryStatus.REFUSED)
        harness.wait(61)
    assert harness.store.outbox.backlog("mqtt") == Backlog(5, START, 0)


def test_after_the_trouble_everything_is_sent_in_order(harness: DeliveryHarness) -> None:
    harness.record(*(change(index) for index in range(12)))
    for _ in range(40):
        for delivery in list(harness.sink.out):
            harness.sink.end(delivery, DeliveryStatus.REFUSED)
        harness.wait(1)
    received = []
    for _ in range(30):
        for delivery in list(harness.sink.out):
            received.append(name_of(delivery))
            harness.sink.end(delivery)
        harness.wait(10)
    in_order = [f"{index}:1" for index in range(12)]
    # The first is the one that was tried last in the trouble.
    assert received[1:] == [name for name in in_order if name != received[0]]


def test_in_trouble_one_alert_at_a_time_is_sent(harness: DeliveryHarness) -> None:
    harness.record(*(change(index) for index in range(12)))
    harness.turn()
    for _ in range(20):
        for delivery in list(harness.sink.out):
            harness.sink.end(delivery, DeliveryStatus.FAILED)
        assert len(harness.wait(5)) <= 1


@pytest.mark.parametrize("bad", [1, 5])
def test_a_new_alert_does_not_wait_for_bad_ones(harness: DeliveryHarness, bad: int) -> None:
    harness.record(*(change(index) for index in range(bad)))
    for _ in range(25):
        for delivery in list(harness.sink.out):
            harness.sink.end(delivery, DeliveryStatus.REFUSED)
        harness.wait(20)
    for delivery in list(harness.sink.out):
        harness.sink.end(delivery, DeliveryStatus.REFUSED)
    harness.record(change(50))
    assert harness.wait(0.1) == ["50:1"]


def test_bad_alerts_at_the_head_hold_no_other_back(harness: DeliveryHarness) -> None:
    """None is new: all were tried while the sink was away."""
    harness.record(*(change(index) for index in range(30)))
    for _ in range(80):
        for delivery in list(harness.sink.out):
            harness.sink.end(delivery, DeliveryStatus.FAILED)
        harness.wait(10)
    accepted = set()
    for _ in range(80):
        for delivery in list(harness.sink.out):
            bad = violation_index(delivery) < 25
            harness.sink.end(delivery, DeliveryStatus.FAILED if bad else DeliveryStatus.ACCEPTED)
            accepted |= set() if bad else {violation_index(delivery)}
        harness.wait(10)
    assert accepted == set(range(25, 30))


@pytest.mark.parametrize("last", [DeliveryStatus.REFUSED, DeliveryStatus.FAILED])
def test_once_a_refused_alert_is_accepted_its_like_are_sent_immediately(
    harness: DeliveryHarness, last: DeliveryStatus
) -> None:
    """Also if the broker was restarted to correct it, which the last attempts ended with."""
    harness.record(*(change(index) for index in range(6)))
    for turn in range(28):
        harness.record(change(100 + turn))
        failure = DeliveryStatus.REFUSED if turn < 8 else last
        for delivery in list(harness.sink.out):
            harness.sink.end(
                delivery, failure if violation_index(delivery) < 6 else DeliveryStatus.ACCEPTED
            )
        harness.wait(1)
    received: set[int] = set()
    for _ in range(30):
        for delivery in list(harness.sink.out):
            received.add(violation_index(delivery))
            harness.sink.end(delivery)
        harness.wait(0 if received & set(range(6)) else 1)
    assert set(range(6)) <= received


# --- violations that wait for an acknowledgement --------------------------------------------------


class WaitingHarness(DeliveryHarness):
    """Its sink sends violations that are not acknowledged within ten minutes."""

    def __post_init__(self) -> None:
        self.sink.unacknowledged_for = 600.0
        super().__post_init__()


@pytest.fixture
def waiting(store: Store) -> WaitingHarness:
    return WaitingHarness(store)


def test_an_unacknowledged_violation_is_pending_until_it_is_due(waiting: WaitingHarness) -> None:
    waiting.record(change(1), change(1, 2))
    assert waiting.wait(100) == []
    waiting.record(change(2, started=START + timedelta(seconds=100)))
    assert waiting.wait(499) == []
    assert waiting.wait(2) == ["1:1"]
    assert not waiting.sink.out[0].acknowledged
    assert waiting.wait(100) == ["1:1", "2:1"]
    assert waiting.store.outbox.backlog("mqtt").pending == 3


def test_an_acknowledgement_is_known_when_the_violation_is_due(waiting: WaitingHarness) -> None:
    waiting.record(change(1))
    waiting.turn()
    waiting.store.acknowledgements.add(violation_id(1), "cli")
    waiting.wait(601)
    assert [delivery.acknowledged for delivery in waiting.sink.out] == [True]


@pytest.mark.parametrize("away", [0.0, 10.0, 601.0, 12 * 3600.0])
def test_a_kill_at_any_time_loses_and_doubles_no_waiting_violation(
    waiting: WaitingHarness, away: float
) -> None:
    waiting.record(change(1))
    assert waiting.wait(300) == []
    waiting.clock.advance(away)
    waiting.delivery = waiting.new_delivery()
    assert waiting.turn() == (["1:1"] if away > 300 else [])
    waiting.wait(0 if away > 300 else 301)
    assert [name_of(delivery) for delivery in waiting.sink.out] == ["1:1"]
    waiting.sink.end(waiting.sink.out[0])
    waiting.turn()
    waiting.delivery = waiting.new_delivery()
    assert waiting.wait(12 * 3600) == []


def test_new_rules_hold_for_what_waits_already(waiting: WaitingHarness) -> None:
    waiting.record(change(1))
    assert waiting.wait(300) == []
    waiting.sink.unacknowledged_for = 1800.0
    waiting.delivery = waiting.new_delivery()
    assert waiting.wait(1400) == []
    waiting.sink.unacknowledged_for = 0.0
    waiting.delivery = waiting.new_delivery()
    assert waiting.turn() == ["1:1"]


@pytest.mark.parametrize("hours", [-12, 12])
def test_a_clock_jump_neither_hastens_nor_delays_what_waits(
    waiting: WaitingHarness, hours: float
) -> None:
    waiting.record(change(1))
    assert waiting.turn() == []
    waiting.clock = JumpedClock(waiting.clock, hours)
    waiting.delivery._clock = waiting.delivery._wait._clock = waiting.clock
    assert waiting.wait(599) == []
    assert waiting.wait(2) == ["1:1"]


def test_after_a_jump_back_and_a_restart_the_wait_begins_again_at_most_once(
    waiting: WaitingHarness,
) -> None:
    waiting.record(change(1, started=START + timedelta(hours=12)))
    assert waiting.turn() == []
    assert waiting.wait(599) == []
    assert waiting.wait(2) == ["1:1"]


def test_a_waiting_violation_that_fails_is_retried_like_any_other(waiting: WaitingHarness) -> None:
    waiting.record(change(1), change(2))
    waiting.wait(601)
    for _ in range(20):
        for delivery in list(waiting.sink.out):
            waiting.sink.end(delivery, DeliveryStatus.FAILED)
        waiting.wait(61)
    assert waiting.store.outbox.backlog("mqtt") == Backlog(2, START, 0)


def test_unstored_violations_wait_for_an_acknowledgement_too(waiting: WaitingHarness) -> None:
    waiting.unstored.add(entries(change(1)))
    assert waiting.wait(599) == []
    assert waiting.wait(2) == ["1:1"]


# --- outcomes and rates ---------------------------------------------------------------------------


def test_a_delivery_without_an_outcome_counts_as_failed(harness: DeliveryHarness) -> None:
    harness.record(change(1))
    harness.turn()
    harness.sink.out.clear()
    assert harness.wait(299) == []
    harness.wait(2)
    assert harness.wait(1) == ["1:1"]


def test_a_backlog_drains_at_a_bounded_rate(harness: DeliveryHarness) -> None:
    harness.sink.window = 10_000
    harness.delivery = harness.new_delivery(RetryPolicy(rate=10.0))
    harness.record(*(change(index) for index in range(40)))
    assert len(harness.turn()) == 10
    assert len(harness.wait(1)) == 20


@pytest.mark.long
def test_the_widest_window_is_sent_and_written_in_one_turn(harness: DeliveryHarness) -> None:
    harness.sink.window = 1000
    harness.delivery = harness.new_delivery(RetryPolicy(rate=10_000.0))
    harness.record(*(change(index) for index in range(1000)))
    assert len(harness.turn()) == 1000
    for delivery in list(harness.sink.out):
        harness.sink.end(delivery)
    assert harness.turn() == []
    assert harness.store.outbox.backlog("mqtt").pending == 0


def test_sinks_do_not_delay_each_other(tmp_path: Path) -> None:
    store = make_store(tmp_path / "both", sinks=("mqtt", "people"))
    first, second = DeliveryHarness(store), DeliveryHarness(store, FakeSink("people"))
    first.record(change(1))
    first.turn()
    first.sink.end(first.sink.out[0], DeliveryStatus.REFUSED)
    first.turn()
    assert second.turn() == ["1:1"]
    store.close()


def test_attempts_and_their_outcomes_are_counted(harness: DeliveryHarness) -> None:
    harness.record(change(1))
    harness.turn()
    harness.sink.end(harness.sink.out[0], DeliveryStatus.FAILED)
    harness.turn()
    harness.wait(1)
    harness.sink.end(harness.sink.out[0])
    harness.turn()
    counted = {dict(s.labels).get("fate"): s.value for s in harness.meter.snapshot().samples}
    assert counted == {"failed": 1, "accepted": 1}
    [latency] = harness.meter.snapshot().histograms
    assert latency.name == catalogue.CAPTURE_TO_PUBLISH_SECONDS


# --- held in memory ---------------------------------------------------------------------------------


def entries(*changes: Change) -> list[Entry]:
    return [entry(item) for item in changes]


def test_an_unstored_alert_is_sent_from_memory_and_marked_as_not_stored(
    harness: DeliveryHarness,
) -> None:
    harness.unstored.add(entries(change(1), change(1, 2)))
    assert harness.turn() == ["1:1"]
    assert not harness.sink.out[0].stored
    harness.sink.end(harness.sink.out[0])
    assert harness.turn() == ["1:2"]


def test_an_unstored_change_waits_for_the_stored_ones_before_it(harness: DeliveryHarness) -> None:
    harness.record(change(1))
    harness.unstored.add(entries(change(1, 2)))
    assert harness.turn() == ["1:1"]
    harness.sink.end(harness.sink.out[0])
    assert harness.turn() == ["1:2"]


def test_an_alert_sent_from_memory_is_not_sent_again_once_it_is_stored(harness: DeliveryHarness) -> None:
    harness.unstored.add(entries(change(1), change(2)))
    harness.turn()
    harness.sink.end(harness.sink.out[0])
    harness.turn()
    harness.store.changes.record(harness.unstored.entries())  # while 2:1 is still out
    harness.unstored.remove(harness.unstored.entries())
    harness.delivery.outbox_changed = True
    assert harness.turn() == ["2:1"]
    harness.sink.end(harness.sink.out[0])
    assert harness.turn() == []
    assert harness.store.outbox.backlog("mqtt").pending == 0


def test_without_a_store_only_changes_known_to_be_next_are_sent(harness: DeliveryHarness) -> None:
    harness.record(change(3))
    harness.unstored.add(entries(change(3, 2), change(1), change(1, 2)))
    for expected in ("1:1", "1:2"):
        assert harness.turn(stored=False) == [expected]
        harness.sink.end(harness.sink.out[0])
    assert harness.turn() == ["3:1"]


def test_a_refused_unstored_change_holds_back_the_later_ones(harness: DeliveryHarness) -> None:
    harness.unstored.add(entries(change(1), change(1, 2)))
    harness.turn()
    harness.sink.end(harness.sink.out[0], DeliveryStatus.REFUSED)
    assert harness.wait(3600) == []


# --- random events ---------------------------------------------------------------------------------

STEP = st.one_of(
    st.tuples(st.just("record"), st.integers(0, 2), st.integers(1, 4)),
    st.tuples(st.just("end"), st.integers(0, 3), st.sampled_from(list(DeliveryStatus))),
    st.tuples(st.just("wait"), st.floats(0, 90, allow_nan=False), st.none()),
    st.tuples(st.just("kill"), st.none(), st.none()),
    st.tuples(st.just("ready"), st.booleans(), st.none()),
)


class RandomRun:
    """A delivery under random events, and a record of what was stored and accepted."""

    def __init__(self, store: Store) -> None:
        self.harness = DeliveryHarness(store)
        self.accepted: dict[UUID, list[int]] = {}
        self.newest: dict[UUID, int] = {}

    def step(self, kind: str, first: object, second: object) -> None:
        match kind, first, second:
            case "record", int(index), int(number):
                self.harness.record(change(index, number))  # also repeated, and out of order
                subject = violation_id(index)
                self.newest[subject] = max(number, self.newest.get(subject, 0))
            case "end", int(place), DeliveryStatus() as fate if place < len(self.harness.sink.out):
                self.end(self.harness.sink.out[place], fate)
            case "wait", float(seconds), None:
                self.harness.clock.advance(seconds)
            case "kill", None, None:
                self.harness.sink.out.clear()
                self.harness.delivery = self.harness.new_delivery()
            case "ready", bool(ready), None:
                self.harness.sink.ready = ready
        self.harness.turn()

    def end(self, delivery: Delivery, fate: DeliveryStatus) -> None:
        subject, number = key_of(delivery.subject)
        if fate in {DeliveryStatus.ACCEPTED, DeliveryStatus.SKIPPED}:
            self.accepted.setdefault(subject, []).append(number)
        self.harness.sink.end(delivery, fate)

    def accept_everything(self) -> None:
        """Accept everything from now on."""
        self.harness.sink.ready = True
        for _ in range(60):
            self.harness.wait(61)
            for delivery in list(self.harness.sink.out):
                self.end(delivery, DeliveryStatus.ACCEPTED)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEP, max_size=40))
def test_a_sink_accepts_the_changes_of_a_violation_in_rising_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, object, object]]
) -> None:
    store = make_store(tmp_path_factory.mktemp("law"))
    run = RandomRun(store)
    for step in steps:
        run.step(*step)
        out = run.harness.sink.out
        assert len({key_of(delivery.subject)[0] for delivery in out}) == len(out)
    run.accept_everything()
    store.close()
    assert all(numbers == sorted(numbers) for numbers in run.accepted.values())
    for subject in run.newest:
        assert run.accepted[subject][-1] == run.newest[subject], "the newest state always arrives"
