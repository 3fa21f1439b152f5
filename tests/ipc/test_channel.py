"""A channel never blocks, bounds droppable messages, and notices the peer's end."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from maskwatch.errors import WireError
from maskwatch.ipc.channel import Channel
from maskwatch.ipc.messages import Command, Ready, Stop, ToChild, ToSupervisor
from maskwatch.ipc.wire import TO_CHILD, TO_SUPERVISOR
from tests.fakes.waiting import SLACK

Pair = tuple[Channel[ToChild], Channel[ToSupervisor]]


@pytest.fixture
def pair() -> Iterator[Pair]:
    near, far = socket.socketpair()
    channels = Channel(near, TO_CHILD), Channel(far, TO_SUPERVISOR, limit=10_000)
    yield channels
    for channel in channels:
        channel.close()


def received(channel: Channel[ToChild], count: int) -> list[ToChild]:
    arrived: list[ToChild] = []
    deadline = time.monotonic() + 5 * SLACK
    while len(arrived) < count and time.monotonic() < deadline:
        arrived += [message for message, _ in channel.receive()]
    return arrived


def test_receiving_does_not_wait(pair: Pair) -> None:
    assert pair[0].receive() == []
    assert not pair[0].ended


def test_unread_messages_wait_and_arrive_later_in_order(pair: Pair) -> None:
    near, far = pair
    sent = [Command(id=str(n), verb="x" * 1000) for n in range(1000)]
    assert all(far.send(message) for message in sent)
    assert far.waiting
    arrived: list[ToChild] = []
    while len(arrived) < len(sent):
        arrived += [message for message, _ in near.receive()]
        far.flush()
    assert arrived == sent
    assert not far.waiting


def test_droppable_messages_to_a_peer_that_does_not_read_are_refused(pair: Pair) -> None:
    _, far = pair
    results = [far.send(Stop(grace=float(n)), b"x" * 1000, droppable=True) for n in range(2000)]
    assert not results[-1]
    assert far.waiting < 12_000
    assert far.send(Ready())


def test_the_last_messages_before_the_end_are_still_read(pair: Pair) -> None:
    near, far = pair
    far.send(Stop(grace=1.0))
    far.close()
    assert received(near, 1) == [Stop(grace=1.0)]
    assert near.receive() == []
    assert near.ended


def test_sending_to_a_closed_peer_returns_false(pair: Pair) -> None:
    near, far = pair
    near.close()
    assert not far.send(Ready())
    assert far.ended
    assert not far.send(Ready())


def test_an_invalid_message_ends_the_channel(pair: Pair) -> None:
    near, far = pair
    far.socket.send(b"\xff" * 100)
    with pytest.raises(WireError):
        near.receive()
    assert near.ended
