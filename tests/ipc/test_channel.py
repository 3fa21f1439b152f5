"""A channel never blocks, never grows without bound for what may be dropped, and notices the end."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from maskwatch.errors import WireError
from maskwatch.ipc.channel import Channel
from maskwatch.ipc.messages import Command, Ready, Stop, ToChild, ToSupervisor
from maskwatch.ipc.wire import TO_CHILD, TO_SUPERVISOR

Pair = tuple[Channel[ToChild], Channel[ToSupervisor]]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair()
    channels = Channel(ours, TO_CHILD), Channel(theirs, TO_SUPERVISOR, limit=10_000)
    yield channels
    for channel in channels:
        channel.close()


def received(channel: Channel[ToChild], count: int) -> list[ToChild]:
    found: list[ToChild] = []
    deadline = time.monotonic() + 5
    while len(found) < count and time.monotonic() < deadline:
        found += [message for message, _ in channel.receive()]
    return found


def test_without_anything_to_read_nothing_is_waited_for(pair: Pair) -> None:
    assert pair[0].receive() == []
    assert not pair[0].ended


def test_what_the_peer_does_not_read_waits_and_arrives_later_in_order(pair: Pair) -> None:
    near, far = pair
    sent = [Command(id=str(n), verb="x" * 1000) for n in range(1000)]
    assert all(far.send(message) for message in sent)
    assert far.waiting
    found: list[ToChild] = []
    while len(found) < len(sent):
        found += [message for message, _ in near.receive()]
        far.flush()
    assert found == sent
    assert not far.waiting


def test_to_a_peer_that_does_not_read_droppable_messages_are_refused(pair: Pair) -> None:
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


def test_sending_to_a_peer_that_is_gone_fails_quietly(pair: Pair) -> None:
    near, far = pair
    near.close()
    assert not far.send(Ready())
    assert far.ended
    assert not far.send(Ready())


def test_rubbish_ends_the_channel(pair: Pair) -> None:
    near, far = pair
    far.socket.send(b"\xff" * 100)
    with pytest.raises(WireError):
        near.receive()
    assert near.ended
