"""Changes that the recorder has not acknowledged yet."""

from __future__ import annotations

from dataclasses import replace

from maskwatch.domain import Change
from maskwatch.worker.resend_buffer import ResendBuffer
from tests.fakes.messages import make_change


def numbered(count: int) -> list[Change]:
    return [replace(make_change(), number=number + 1) for number in range(count)]


def test_everything_is_sent_once_in_order_and_again_to_a_new_recorder() -> None:
    buffer = ResendBuffer()
    for change in numbered(3):
        buffer.add(change, None, 0.0)
    assert [each.change.number for each in buffer.take_unsent()] == [1, 2, 3]
    assert buffer.take_unsent() == []
    buffer.acknowledged((make_change().violation.id, 2))
    buffer.mark_unsent()
    assert [each.change.number for each in buffer.take_unsent()] == [1, 3]


def test_an_acknowledgement_is_taken_once_and_an_unknown_one_is_ignored() -> None:
    buffer = ResendBuffer()
    key = buffer.add(make_change(), b"jpeg", 0.0)
    assert buffer.acknowledged(key) is not None
    assert buffer.acknowledged(key) is None
    assert len(buffer) == 0


def test_over_the_bound_the_oldest_changes_are_dropped_and_counted() -> None:
    buffer = ResendBuffer(max_changes=5)
    for change in numbered(8):
        buffer.add(change, b"x", 0.0)
    assert buffer.dropped == 3
    assert [each.change.number for each in buffer.take_unsent()] == [4, 5, 6, 7, 8]


def test_over_the_picture_bytes_the_oldest_changes_lose_their_picture() -> None:
    buffer = ResendBuffer(max_picture_bytes=25)
    for change in numbered(4):
        buffer.add(change, b"0123456789", 0.0)
    assert [each.picture is None for each in buffer.take_unsent()] == [True, True, False, False]
    assert buffer.dropped == 0
    for change in numbered(4):
        buffer.acknowledged((change.violation.id, change.number))
    buffer.add(make_change(), b"0123456789", 0.0)
    assert buffer.take_unsent()[0].picture is not None
