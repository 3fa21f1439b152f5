"""How deliveries go out: in order, within the window, again after failures, parked when hopeless."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maskwatch.alerts.sink import Delivery, DeliveryOutcome, DeliveryStatus
from maskwatch.clock import ManualClock
from maskwatch.domain import Change
from maskwatch.recorder.delivery import OutboxDelivery, RetryPolicy
from maskwatch.recorder.unstored import UnstoredBuffer, key_of
from maskwatch.store.database import Store
from maskwatch.store.queries import event_detail, find, reading
from maskwatch.store.record import Entry
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter
from tests.fakes.samples import START, change, entry, make_store, violation_id
from tests.fakes.sink import FakeSink


@dataclass
class Bench:
    """A courier between a store and a sink, on a clock that goes by hand."""

    store: Store
    sink: FakeSink = field(default_factory=FakeSink)
    clock: ManualClock = field(default_factory=lambda: ManualClock(START))
    memory: UnstoredBuffer = field(default_factory=UnstoredBuffer)
    meter: Meter = field(default_factory=Meter)

    def __post_init__(self) -> None:
        self.courier = self.new_courier()

    def new_courier(self) -> OutboxDelivery:
        """A courier as after a restart: it knows nothing but the store."""
        courier = OutboxDelivery(
            self.sink, self.memory, clock=self.clock, meter=self.meter, pace=RetryPolicy()
        )
        self.sink.report = courier.report
        return courier

    def record(self, *changes: Change) -> None:
        self.store.record([entry(item) for item in changes])
        self.courier.dirty = True

    def turn(self, *, stored: bool = True) -> list[str]:
        """One turn of the recorder's loop; return the alert ids that are out now."""
        store = self.store if stored else None
        self.courier.collect()
        self.courier.write(store)
        self.courier.pump(store)
        return [name_of(delivery) for delivery in self.sink.out]

    def wait(self, seconds: float) -> list[str]:
        self.clock.advance(seconds)
        return self.turn()


def name_of(delivery: Delivery) -> str:
    """The violation's index and the change's number."""
    subject, number = key_of(delivery.subject)
    return f"{subject.int & 0xFFFF}:{number}"


@pytest.fixture
def bench(store: Store) -> Iterator[Bench]:
    return Bench(store)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = make_store(tmp_path / "data")
    yield opened
    opened.close()


def test_an_accepted_alert_is_not_sent_again_also_after_a_restart(bench: Bench) -> None:
    bench.record(change(1))
    assert bench.turn() == ["1:1"]
    bench.sink.end(bench.sink.out[0])
    assert bench.turn() == []
    bench.courier = bench.new_courier()
    assert bench.turn() == []


def test_an_alert_is_marked_only_once_it_was_accepted(bench: Bench) -> None:
    bench.record(change(1))
    bench.turn()
    assert bench.turn() == ["1:1"]
    assert bench.store.backlog("mqtt").pending == 1
    bench.sink.out.clear()  # the recorder is killed now
    bench.courier = bench.new_courier()
    assert bench.turn() == ["1:1"]


def test_no_more_than_the_window_is_out(bench: Bench) -> None:
    bench.record(*(change(index) for index in range(10)))
    assert bench.turn() == ["0:1", "1:1", "2:1", "3:1"]
    bench.sink.end(bench.sink.out[1])
    assert bench.turn() == ["0:1", "2:1", "3:1", "4:1"]


def test_of_one_violation_only_one_change_is_out(bench: Bench) -> None:
    bench.record(change(1), change(1, 2), change(2))
    assert bench.turn() == ["1:1", "2:1"]
    bench.sink.end(bench.sink.out[0])
    assert bench.turn() == ["2:1", "1:2"]


def test_nothing_is_sent_while_the_sink_is_not_ready(bench: Bench) -> None:
    bench.sink.ready = False
    bench.record(change(1))
    assert bench.wait(3600) == []
    bench.sink.ready = True
    assert bench.turn() == ["1:1"]


def test_after_a_failure_the_sink_rests_and_then_the_alert_goes_again(bench: Bench) -> None:
    bench.record(change(1))
    bench.turn()
    bench.sink.end(bench.sink.out[0], DeliveryStatus.FAILED, "broken pipe")
    assert bench.turn() == []
    assert bench.wait(0.5) == ["1:1"]
    assert bench.sink.out[0].attempt == 2


def test_the_rest_grows_up_to_its_bound_and_is_over_with_the_first_success(bench: Bench) -> None:
    bench.record(change(1))
    bench.turn()
    waits = []
    for _ in range(14):
        bench.sink.end(bench.sink.out[0], DeliveryStatus.FAILED)
        bench.turn()
        before = bench.clock.monotonic()
        while not bench.sink.out:
            bench.wait(0.4)
        waits.append(bench.clock.monotonic() - before)
    assert max(waits[:3]) < 2.5
    assert max(waits) > 6
    assert max(waits) <= 60.5
    bench.sink.end(bench.sink.out[0])
    bench.record(change(2))
    assert bench.turn() == ["2:1"]


def test_a_broken_connection_with_a_full_window_is_one_failure_not_many(bench: Bench) -> None:
    bench.record(*(change(index) for index in range(4)))
    bench.turn()
    for delivery in list(bench.sink.out):
        bench.sink.end(delivery, DeliveryStatus.FAILED)
    bench.turn()
    assert bench.wait(0.5) == ["0:1", "1:1", "2:1", "3:1"]


def test_a_refused_alert_is_parked_with_the_later_changes_of_its_violation(bench: Bench) -> None:
    bench.record(change(1), change(1, 2), change(2))
    bench.turn()
    bench.sink.end(bench.sink.out[0], DeliveryStatus.REFUSED, "quota")
    assert bench.turn() == ["2:1"]
    bench.record(change(1, 3))
    assert bench.wait(3600) == ["2:1"]
    assert bench.store.backlog("mqtt").parked == 3


def attempts(bench: Bench) -> list[tuple[str, int, list[tuple[int, str, str]]]]:
    """Of each delivery: its state, how many attempts there were, and each: number, fate, detail."""
    with reading(bench.store.place.database) as session:
        found = event_detail(session, find(session, str(violation_id(1))))
    return [
        (p.state, p.attempts, [(a.number, a.fate, a.detail) for a in p.history])
        for step in found.steps
        for p in step.postings
    ]


def test_what_becomes_of_an_alert_after_it_was_taken_is_noted_and_not_tried_again(
    bench: Bench,
) -> None:
    bench.record(change(1))
    bench.turn()
    bench.sink.end(bench.sink.out[0], detail="held")
    bench.sink.report(DeliveryOutcome(0, DeliveryStatus.FAILED, "answered 500", change(1)))
    bench.sink.report(DeliveryOutcome(0, DeliveryStatus.ACCEPTED, "answered 200", change(1)))
    assert not bench.courier.idle
    assert bench.turn() == []
    assert bench.courier.idle
    history = [(1, "accepted", "held"), (2, "failed", "answered 500"), (3, "accepted", "answered 200")]
    assert attempts(bench) == [("delivered", 3, history)]
    bench.courier = bench.new_courier()
    assert bench.wait(3600) == []


def test_what_is_given_up_after_it_was_taken_is_parked(bench: Bench) -> None:
    bench.record(change(1))
    bench.turn()
    bench.sink.end(bench.sink.out[0])
    bench.sink.report(DeliveryOutcome(0, DeliveryStatus.REFUSED, "answered 400", change(1)))
    bench.turn()
    assert [(state, number) for state, number, _ in attempts(bench)] == [("parked", 2)]


def test_an_alert_that_fails_while_others_go_well_is_poison_and_parked(bench: Bench) -> None:
    bench.record(change(0))
    others = 1
    for _ in range(1000):
        bench.record(change(others))
        others += 1
        bench.wait(61)
        for delivery in list(bench.sink.out):
            poison = name_of(delivery) == "0:1"
            bench.sink.end(delivery, DeliveryStatus.FAILED if poison else DeliveryStatus.ACCEPTED)
        bench.turn()
        if bench.store.backlog("mqtt").parked:
            break
    assert bench.store.backlog("mqtt").parked == 1
    assert others < 30


def test_while_everything_fails_nothing_is_parked(bench: Bench) -> None:
    bench.record(change(1), change(2))
    for _ in range(100):
        for delivery in list(bench.sink.out):
            bench.sink.end(delivery, DeliveryStatus.FAILED)
        bench.wait(61)
    assert bench.store.backlog("mqtt").parked == 0


def test_a_sink_that_never_reports_is_taken_to_have_failed(bench: Bench) -> None:
    bench.record(change(1))
    bench.turn()
    bench.sink.out.clear()
    assert bench.wait(299) == []
    bench.wait(2)
    assert bench.wait(1) == ["1:1"]


def test_a_backlog_drains_at_a_bounded_rate(bench: Bench) -> None:
    bench.sink.window = 10_000
    bench.courier = OutboxDelivery(
        bench.sink, bench.memory, clock=bench.clock, meter=bench.meter, pace=RetryPolicy(rate=10.0)
    )
    bench.sink.report = bench.courier.report
    bench.record(*(change(index) for index in range(40)))
    assert len(bench.turn()) == 10
    assert len(bench.wait(1)) == 20


def test_the_widest_window_is_sent_and_settled_at_once(bench: Bench) -> None:
    bench.sink.window = 1000
    bench.courier = OutboxDelivery(
        bench.sink, bench.memory, clock=bench.clock, meter=bench.meter, pace=RetryPolicy(rate=10_000.0)
    )
    bench.sink.report = bench.courier.report
    bench.record(*(change(index) for index in range(1000)))
    assert len(bench.turn()) == 1000
    for delivery in list(bench.sink.out):
        bench.sink.end(delivery)
    assert bench.turn() == []
    assert bench.store.backlog("mqtt").pending == 0


def test_sinks_do_not_hold_each_other_up(tmp_path: Path) -> None:
    store = make_store(tmp_path / "both", sinks=("mqtt", "people"))
    first, second = Bench(store), Bench(store, FakeSink("people"))
    first.record(change(1))
    first.turn()
    first.sink.end(first.sink.out[0], DeliveryStatus.REFUSED)
    first.turn()
    assert second.turn() == ["1:1"]
    store.close()


def test_attempts_and_their_ends_are_counted(bench: Bench) -> None:
    bench.record(change(1))
    bench.turn()
    bench.sink.end(bench.sink.out[0], DeliveryStatus.FAILED)
    bench.turn()
    bench.wait(1)
    bench.sink.end(bench.sink.out[0])
    bench.turn()
    counted = {dict(s.labels).get("fate"): s.value for s in bench.meter.snapshot().samples}
    assert counted == {"failed": 1, "accepted": 1}
    [latency] = bench.meter.snapshot().histograms
    assert latency.name == catalogue.CAPTURE_TO_PUBLISH_SECONDS


# --- held in memory ---------------------------------------------------------------------------------


def unstored(*changes: Change) -> list[Entry]:
    return [entry(item) for item in changes]


def test_an_unstored_alert_goes_out_from_memory_and_says_so(bench: Bench) -> None:
    bench.memory.keep(unstored(change(1), change(1, 2)))
    assert bench.turn() == ["1:1"]
    assert not bench.sink.out[0].stored
    bench.sink.end(bench.sink.out[0])
    assert bench.turn() == ["1:2"]


def test_an_unstored_change_waits_for_the_stored_ones_before_it(bench: Bench) -> None:
    bench.record(change(1))
    bench.memory.keep(unstored(change(1, 2)))
    assert bench.turn() == ["1:1"]
    bench.sink.end(bench.sink.out[0])
    assert bench.turn() == ["1:2"]


def test_what_went_out_from_memory_is_not_sent_again_once_it_is_stored(bench: Bench) -> None:
    bench.memory.keep(unstored(change(1), change(2)))
    bench.turn()
    bench.sink.end(bench.sink.out[0])
    bench.turn()
    bench.store.record(bench.memory.entries())  # while 2:1 is still out
    bench.memory.forget(bench.memory.entries())
    bench.courier.dirty = True
    assert bench.turn() == ["2:1"]
    bench.sink.end(bench.sink.out[0])
    assert bench.turn() == []
    assert bench.store.backlog("mqtt").pending == 0


def test_without_a_store_memory_is_told_but_for_what_may_not_be_next(bench: Bench) -> None:
    bench.record(change(3))
    bench.memory.keep(unstored(change(3, 2), change(1), change(1, 2)))
    for expected in ("1:1", "1:2"):
        assert bench.turn(stored=False) == [expected]
        bench.sink.end(bench.sink.out[0])
    assert bench.turn() == ["3:1"]


def test_a_refused_unstored_change_holds_back_the_later_ones(bench: Bench) -> None:
    bench.memory.keep(unstored(change(1), change(1, 2)))
    bench.turn()
    bench.sink.end(bench.sink.out[0], DeliveryStatus.REFUSED)
    assert bench.wait(3600) == []


# --- the law ----------------------------------------------------------------------------------------

STEP = st.one_of(
    st.tuples(st.just("record"), st.integers(0, 2), st.integers(1, 4)),
    st.tuples(st.just("end"), st.integers(0, 3), st.sampled_from(list(DeliveryStatus))),
    st.tuples(st.just("wait"), st.floats(0, 90, allow_nan=False), st.none()),
    st.tuples(st.just("kill"), st.none(), st.none()),
    st.tuples(st.just("ready"), st.booleans(), st.none()),
)


class Life:
    """A courier's life under a storm, and an account of what was recorded, taken and refused."""

    def __init__(self, store: Store) -> None:
        self.bench = Bench(store)
        self.taken: dict[UUID, list[int]] = {}
        self.newest: dict[UUID, int] = {}
        self.refused: set[UUID] = set()

    def step(self, kind: str, first: object, second: object) -> None:
        match kind, first, second:
            case "record", int(index), int(number):
                self.bench.record(change(index, number))  # also repeated, and out of order
                subject = violation_id(index)
                self.newest[subject] = max(number, self.newest.get(subject, 0))
            case "end", int(place), DeliveryStatus() as fate if place < len(self.bench.sink.out):
                self.end(self.bench.sink.out[place], fate)
            case "wait", float(seconds), None:
                self.bench.clock.advance(seconds)
            case "kill", None, None:
                self.bench.sink.out.clear()
                self.bench.courier = self.bench.new_courier()
            case "ready", bool(ready), None:
                self.bench.sink.ready = ready
        self.bench.turn()

    def end(self, delivery: Delivery, fate: DeliveryStatus) -> None:
        subject, number = key_of(delivery.subject)
        if fate is DeliveryStatus.ACCEPTED:
            self.taken.setdefault(subject, []).append(number)
        elif fate is DeliveryStatus.REFUSED:
            self.refused.add(subject)
        self.bench.sink.end(delivery, fate)

    def calm(self) -> None:
        """From now on everything is accepted."""
        self.bench.sink.ready = True
        for _ in range(60):
            self.bench.wait(61)
            for delivery in list(self.bench.sink.out):
                self.end(delivery, DeliveryStatus.ACCEPTED)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEP, max_size=40))
def test_whatever_happens_a_sink_takes_the_numbers_of_a_violation_in_rising_order(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, object, object]]
) -> None:
    store = make_store(tmp_path_factory.mktemp("law"))
    life = Life(store)
    for step in steps:
        life.step(*step)
        out = life.bench.sink.out
        assert len({key_of(delivery.subject)[0] for delivery in out}) == len(out)
    life.calm()
    store.close()
    assert all(numbers == sorted(numbers) for numbers in life.taken.values())
    for subject in life.newest.keys() - life.refused:
        assert life.taken[subject][-1] == life.newest[subject], "the newest state always arrives"
