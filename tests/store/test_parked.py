"""Parked alerts are counted by reason, and put back by sink and time, whole and in order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from maskwatch.store.models import OutboxState
from maskwatch.store.outbox import DeliveryResult
from maskwatch.store.parked import ParkedFilter, ParkedReason
from maskwatch.store.queries import event_detail, find_violation, read_session
from maskwatch.store.store import Store
from tests.fakes.samples import START, change, entry, make_store, violation_id

LATER = START + timedelta(hours=1)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Two sinks; violations 1 and 2 (an hour later), each with two changes, are parked for both."""
    opened = make_store(tmp_path / "data", sinks=("mqtt", "people-guards"))
    for index, started in ((1, START), (2, LATER)):
        for number in (1, 2):
            opened.changes.record([entry(change(index, number, started=started))])
        for sink, fate in (("mqtt", "refused"), ("people-guards", "failed")):
            opened.outbox.store_results(
                [
                    DeliveryResult(
                        sink, violation_id(index), 1, OutboxState.PARKED, START, START, fate, "no"
                    )
                ]
            )
    yield opened
    opened.close()


def waiting(store: Store, sink: str) -> list[tuple[int, int]]:
    items = store.outbox.waiting(sink, 10)
    return [(item.subject.violation.track, item.subject.number) for item in items]  # type: ignore[union-attr]


def test_parked_alerts_are_counted_by_reason(store: Store) -> None:
    counts, newest = store.outbox.parked_reasons("people-guards")
    assert counts == {ParkedReason.FAILED: 2, ParkedReason.BEHIND: 2}
    assert newest == "no"


@pytest.mark.parametrize(
    ("criteria", "counts"),
    [
        (ParkedFilter(), {"mqtt": 4, "people-guards": 4}),
        (ParkedFilter("mqtt"), {"mqtt": 4}),
        (ParkedFilter("mqtt", since=LATER), {"mqtt": 2}),
        (ParkedFilter("mqtt", until=LATER), {"mqtt": 2}),
        (ParkedFilter("mqtt", since=START + timedelta(seconds=1), until=LATER), {"mqtt": 2}),
        (ParkedFilter("mqtt", since=LATER + timedelta(hours=1)), {}),
        (ParkedFilter("none"), {}),
    ],
)
def test_they_are_put_back_by_sink_and_time(
    store: Store, criteria: ParkedFilter, counts: dict[str, int]
) -> None:
    assert store.outbox.put_back(criteria, "someone", LATER) == counts
    parked = sum(store.outbox.backlog(sink).parked for sink in ("mqtt", "people-guards"))
    assert parked == 8 - sum(counts.values())


def test_what_is_put_back_is_sent_in_order_and_says_who_did_it(store: Store) -> None:
    store.outbox.put_back(ParkedFilter("mqtt", until=LATER), "someone", LATER)
    assert waiting(store, "mqtt") == [(1, 1)]
    assert waiting(store, "people-guards") == []
    with read_session(store.data_dir.database) as session:
        detail = event_detail(session, find_violation(session, str(violation_id(1))))
    history = detail.steps[0].postings[0].history
    assert [(each.number, each.fate, each.detail) for each in history] == [
        (1, "refused", "no"),
        (2, "retried", "put back by someone"),
    ]


def test_no_number_below_a_delivered_one_is_put_back(store: Store) -> None:
    store.outbox.put_back(ParkedFilter("mqtt"), "someone", LATER)
    results = [
        DeliveryResult("mqtt", violation_id(1), 2, OutboxState.DELIVERED, START, START, "accepted"),
        DeliveryResult("mqtt", violation_id(1), 1, OutboxState.PARKED, START, START, "refused"),
    ]
    for result in results:
        store.outbox.store_results([result])
    store.outbox.put_back(ParkedFilter("mqtt"), "someone", LATER)
    assert waiting(store, "mqtt") == [(2, 1)]
