"""Wakes a thread that waits in `select`: anybody may ring, one thread listens."""

from __future__ import annotations

import socket

__all__ = ["Bell"]


class Bell:
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
