"""What no sound child says is refused on arrival, and nobody speaks in another camera's name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from maskwatch.domain import Change
from maskwatch.errors import WireError
from maskwatch.ipc.messages import Record, SnapshotTaken
from maskwatch.ipc.token_bucket import TokenBucket
from maskwatch.ipc.wire import TO_RECORDER, TO_SUPERVISOR, Reader, encode
from maskwatch.ipc.worker_tokens import is_worker_token, worker_token
from maskwatch.secrets import Secret
from tests.ipc.test_wire import NOON, a_beat, a_change

KEY = Secret("the key of this run")


def _framed(message: msgspec.Struct, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The frame of a message after a change that its class would not allow."""
    content = msgspec.json.decode(encode(message)[8:])
    change(content)
    text = msgspec.json.encode(content)
    return len(text).to_bytes(4, "big") + bytes(4) + text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("since", "0001-01-01T00:00:00Z"),
        ("since", "2026-11-25T12:00:00"),
        ("last_frame", "9999-12-31T23:59:59Z"),
        ("attempt", -1),
        ("attempt", 2**62),
    ],
)
def test_a_heartbeat_that_cannot_be_reckoned_with_is_no_message(field: str, value: object) -> None:
    beat = a_beat()
    reader = Reader(TO_SUPERVISOR)
    assert reader.feed(encode(beat))
    with pytest.raises(WireError):
        reader.feed(_framed(beat, lambda content: content.update({field: value})))


@pytest.mark.parametrize(
    "made",
    [
        lambda change: replace(change, number=0),
        lambda change: replace(change, number=10**10),
        lambda change: replace(change, at=datetime(1, 1, 1, tzinfo=UTC)),
        lambda change: replace(change, at=NOON.replace(tzinfo=None)),
        lambda change: replace(change, violation=replace(change.violation, zone="../../etc")),
        lambda change: replace(change, violation=replace(change.violation, zones=("a", "+"))),
        lambda change: replace(change, violation=replace(change.violation, camera="x" * 201)),
        lambda change: replace(
            change, violation=replace(change.violation, started=NOON + timedelta(days=365 * 300))
        ),
    ],
)
def test_a_change_that_no_worker_makes_is_no_message(made: Callable[[Change], Change]) -> None:
    good, odd = a_change(), made(a_change())
    reader = Reader(TO_RECORDER)
    assert reader.feed(encode(Record(change=good)))
    content = msgspec.json.decode(msgspec.json.encode(odd))
    with pytest.raises(WireError, match="not a message"):
        reader.feed(_framed(Record(change=good), lambda whole: whole.update(change=content)))


def test_a_snapshot_of_no_time_is_no_message() -> None:
    taken = SnapshotTaken(command="1", camera="door", at=NOON)
    with pytest.raises(WireError):
        Reader(TO_RECORDER).feed(_framed(taken, lambda c: c.update(at="0001-01-01T00:00:00")))


def test_a_badge_is_good_for_its_camera_and_run_only() -> None:
    badge = worker_token(KEY, "door").reveal()
    assert is_worker_token(badge, KEY, "door")
    assert not is_worker_token(badge, KEY, "gate")
    assert not is_worker_token(badge, Secret("the key of another run"), "door")
    assert not is_worker_token("", KEY, "door")
    assert not is_worker_token("\u00e9", KEY, "door")


def test_an_allowance_is_a_stock_that_fills_again_and_never_over() -> None:
    allowance = TokenBucket(rate=2.0, most=10.0, now=0.0)
    assert allowance.spend(10.0, 0.0)
    assert not allowance.spend(1.0, 0.0)
    assert allowance.spend(1.0, 1.0)
    assert allowance.spend(10.0, 1000.0)
    assert not allowance.spend(0.1, 1000.0)
