"""The event loop: timers, sockets, and wake-ups from other threads."""

from __future__ import annotations

import socket
import threading
import time

from maskwatch.clock import ManualClock, SystemClock
from maskwatch.ipc.loop import EventLoop, Wakeup


def test_a_timer_repeats_and_does_not_catch_up() -> None:
    clock, called = ManualClock(), list[float]()
    loop = EventLoop(clock)
    loop.every(5.0, lambda: called.append(clock.monotonic()))
    for seconds in (4.9, 0.2, 100.0, 0.1):
        clock.advance(seconds)
        loop.turn(0.0)
    loop.close()
    assert [round(at, 1) for at in called] == [5.1, 105.1]


def test_a_wakeup_from_another_thread_ends_the_wait() -> None:
    loop = EventLoop(SystemClock())
    thread = threading.Timer(0.05, loop.wake)
    thread.start()
    before = time.monotonic()
    loop.turn(20.0)
    thread.join()
    loop.close()
    assert time.monotonic() - before < 10


def test_many_wakeups_count_as_one() -> None:
    loop = EventLoop(SystemClock())
    for _ in range(100_000):
        loop.wake()
    loop.turn(0.0)
    before = time.monotonic()
    loop.turn(0.05)
    loop.close()
    assert time.monotonic() - before >= 0.04, "no wake-up is pending any more"


def test_waiting_for_a_wakeup_is_bounded_and_waking_a_closed_one_is_harmless() -> None:
    wakeup = Wakeup()
    assert not wakeup.wait(0.01)
    wakeup.wake()
    assert wakeup.wait(10.0)
    wakeup.wake()
    wakeup.clear()
    assert not wakeup.wait(0.0)
    wakeup.close()
    wakeup.wake()


def test_a_socket_calls_back_when_data_arrives_until_it_is_unwatched() -> None:
    loop = EventLoop(SystemClock())
    near, far = socket.socketpair()
    with near, far:
        received: list[bytes] = []
        loop.watch(near, lambda: received.append(near.recv(10)))
        far.send(b"one")
        loop.turn(1.0)
        loop.unwatch(near)
        far.send(b"two")
        loop.turn(0.0)
    loop.close()
    assert received == [b"one"]
