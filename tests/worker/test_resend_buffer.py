"""What a worker keeps until the recorder has it."""

from __future__ import annotations

from dataclasses import replace

from maskwatch.domain import Change
from maskwatch.worker.resend_buffer import ResendBuffer
from tests.fakes.messages import make_change


def numbered(count: int) -> list[Change]:
    return [replace(make_change(), number=number + 1) for number in range(count)]


def test_everything_is_sent_once_in_order_and_again_to_a_new_recorder() -> None:
    waiting = ResendBuffer()
    for change in numbered(3):
        waiting.add(change, None, 0.0)
    assert [each.change.number for each in waiting.unsent()] == [1, 2, 3]
    assert waiting.unsent() == []
    waiting.acknowledged((make_change().violation.id, 2))
    waiting.recorder_lost()
    assert [each.change.number for each in waiting.unsent()] == [1, 3]


def test_an_acknowledgement_is_taken_once_and_a_strange_one_not_at_all() -> None:
    waiting = ResendBuffer()
    key = waiting.add(make_change(), b"jpeg", 0.0)
    assert waiting.acknowledged(key) is not None
    assert waiting.acknowledged(key) is None
    assert len(waiting) == 0


def test_over_the_bound_the_oldest_changes_are_given_up_and_counted() -> None:
    waiting = ResendBuffer(most=5)
    for change in numbered(8):
        waiting.add(change, b"x", 0.0)
    assert waiting.dropped == 3
    assert [each.change.number for each in waiting.unsent()] == [4, 5, 6, 7, 8]


def test_over_the_bytes_the_oldest_changes_go_without_their_picture() -> None:
    waiting = ResendBuffer(most_bytes=25)
    for change in numbered(4):
        waiting.add(change, b"0123456789", 0.0)
    assert [each.picture is None for each in waiting.unsent()] == [True, True, False, False]
    assert waiting.dropped == 0
    for change in numbered(4):
        waiting.acknowledged((change.violation.id, change.number))
    waiting.add(make_change(), b"0123456789", 0.0)
    assert waiting.unsent()[0].picture is not None
