"""A small event loop: sockets, timers and a bell that other threads may ring."""

from __future__ import annotations

import heapq
import os
import selectors
import socket
from collections.abc import Callable
from itertools import count
from typing import Protocol

from maskwatch.clock import Clock

__all__ = ["EventLoop", "Wakeup"]


class Wakeup:
    """A socket pair; ringing never blocks, and rings that were not heard yet count as one."""

    def __init__(self) -> None:
        self._near, self._far = socket.socketpair()
        self._near.settimeout(0.0)

    def ring(self) -> None:
        """Wake the listener, now or when it next waits; nothing happens once closed."""
        try:
            self._near.send(b"!")
        except OSError:
            return  # full: a ring is under way already; closed: nobody listens any more

    def fileno(self) -> int:
        """Return what `select` can wait for."""
        return self._far.fileno()

    def wait(self, seconds: float) -> bool:
        """Wait for a ring; return whether it came. 0 takes the rings that came already."""
        self._far.settimeout(max(0.0, seconds))
        try:
            return bool(self._far.recv(4096))
        except (TimeoutError, BlockingIOError):
            return False

    def close(self) -> None:
        """Give the sockets back."""
        self._near.close()
        self._far.close()


Callback = Callable[[], None]


class HasFileno(Protocol):
    """A socket, or what holds one."""

    def fileno(self) -> int:
        """Return the descriptor."""
        ...


class EventLoop:
    """Calls back on the one thread that runs it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, float, Callback]] = []
        self._order = count()
        self._bell_out, self._bell_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._bell_out, selectors.EVENT_READ, self._hush)

    def watch(self, sock: HasFileno, callback: Callback, *, writing: bool = False) -> None:
        """Call back whenever `sock` can be read, or with `writing` also when it can be written."""
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if writing else 0)
        known = self._selector.get_map().get(sock.fileno())
        if known is None:
            self._selector.register(sock, events, callback)
        elif (known.events, known.data) != (events, callback):
            self._selector.modify(sock, events, callback)

    def forget(self, sock: HasFileno) -> None:
        """Watch `sock` no longer."""
        self._selector.unregister(sock)

    def every(self, seconds: float, callback: Callback) -> None:
        """Call back after `seconds`, and again after each further `seconds`."""
        due = self._clock.monotonic() + seconds
        heapq.heappush(self._timers, (due, next(self._order), seconds, callback))

    def ring(self) -> None:
        """Have `turn` return soon; may be called from any thread."""
        try:
            os.write(self._bell_in, b"\0")
        except BlockingIOError:
            return  # it rings already

    def turn(self, longest: float) -> None:
        """Wait up to `longest` seconds for something to happen, and call back what did."""
        now = self._clock.monotonic()
        next_timer = self._timers[0][0] - now if self._timers else longest
        for key, _ in self._selector.select(max(0.0, min(longest, next_timer))):
            callback: Callback = key.data
            callback()
        self._call_timers()

    def _call_timers(self) -> None:
        now = self._clock.monotonic()
        while self._timers and self._timers[0][0] <= now:
            _, _, seconds, callback = heapq.heappop(self._timers)
            # From now, not from when it was due: a stopped process has nothing to catch up.
            heapq.heappush(self._timers, (now + seconds, next(self._order), seconds, callback))
            callback()

    def _hush(self) -> None:
        try:
            while os.read(self._bell_out, 4096):
                pass
        except BlockingIOError:
            return

    def close(self) -> None:
        """Give the descriptors back."""
        self._selector.close()
        os.close(self._bell_in)
        os.close(self._bell_out)
