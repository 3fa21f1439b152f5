"""An event loop of sockets and timers, and a wake-up call for it from other threads."""

from __future__ import annotations

import heapq
import selectors
import socket
from collections.abc import Callable
from itertools import count
from typing import Protocol

from maskwatch.clock import Clock

Callback = Callable[[], None]


class HasFileno(Protocol):
    """A socket, or an object that holds one."""

    def fileno(self) -> int:
        """Return the descriptor."""


class Wakeup:
    """Wakes a thread that waits in a selector, from any other thread.

    A socket pair: `wake` never blocks, and wake-ups that were not yet seen count as one.
    """

    def __init__(self) -> None:
        self._sender, self._receiver = socket.socketpair()
        self._sender.settimeout(0.0)

    def wake(self) -> None:
        """Wake the waiting thread, now or when it next waits; does nothing once closed."""
        try:
            self._sender.send(b"!")
        except OSError:
            return  # full: a wake-up is pending already; closed: no thread waits any more

    def fileno(self) -> int:
        """Return the descriptor that a selector waits for; call `clear` when it is readable."""
        return self._receiver.fileno()

    def wait(self, seconds: float) -> bool:
        """Wait up to `seconds` for a wake-up; return whether it came. Pending ones are consumed."""
        self._receiver.settimeout(max(0.0, seconds))
        try:
            return bool(self._receiver.recv(4096))
        except (TimeoutError, BlockingIOError):
            return False

    def clear(self) -> None:
        """Consume pending wake-ups without waiting."""
        self.wait(0.0)

    def close(self) -> None:
        self._sender.close()
        self._receiver.close()


class EventLoop:
    """Calls back on the one thread that runs it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, float, Callback]] = []
        self._timer_order = count()
        self._wakeup = Wakeup()
        self._selector.register(self._wakeup, selectors.EVENT_READ, self._wakeup.clear)

    def watch(self, sock: HasFileno, callback: Callback, *, writing: bool = False) -> None:
        """Call back whenever `sock` is readable, or with `writing` also when it is writable."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
        registered = self._selector.get_map().get(sock.fileno())
        if registered is None:
            self._selector.register(sock, events, callback)
        elif (registered.events, registered.data) != (events, callback):
            self._selector.modify(sock, events, callback)

    def unwatch(self, sock: HasFileno) -> None:
        """Stop watching `sock`, which must still be open; does nothing if it is not watched."""
        if sock.fileno() in self._selector.get_map():
            self._selector.unregister(sock)

    def every(self, seconds: float, callback: Callback) -> None:
        """Call back after `seconds`, and again after each further `seconds`."""
        due = self._clock.monotonic() + seconds
        heapq.heappush(self._timers, (due, next(self._timer_order), seconds, callback))

    def wake(self) -> None:
        """Have `turn` return soon; may be called from any thread."""
        self._wakeup.wake()

    def turn(self, max_wait: float) -> None:
        """Wait up to `max_wait` seconds for an event, then run the callbacks and the timers due."""
        now = self._clock.monotonic()
        next_timer = self._timers[0][0] - now if self._timers else max_wait
        for key, _ in self._selector.select(max(0.0, min(max_wait, next_timer))):
            callback: Callback = key.data
            callback()
        self._run_timers()

    def _run_timers(self) -> None:
        now = self._clock.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _, _, seconds, callback = heapq.heappop(self._timers)
            # From now, not from when it was due: a stopped process has nothing to catch up.
            heapq.heappush(self._timers, (now + seconds, next(self._timer_order), seconds, callback))
            callback()

    def close(self) -> None:
        self._selector.close()
        self._wakeup.close()
