"""A connection in the event loop: messages in, messages out, and never a wait for the other side."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from maskwatch.errors import WireError
from maskwatch.ipc.channel import Channel
from maskwatch.recorder.loop import Loop

__all__ = ["Peer"]

_log = logging.getLogger(__name__)
_MOST_UNSENT = 4 << 20
_MOST_READS = 64  # of 256 KiB each

M = TypeVar("M")


class Peer(Generic[M]):
    """A worker's connection, on which messages of type `M` arrive, each with a blob."""

    def __init__(
        self,
        sock: socket.socket,
        loop: Loop,
        decoder: msgspec.json.Decoder[M],
        on_message: Callable[[M, bytes], None],
        on_end: Callable[[], None],
        *,
        on_rubbish: Callable[[str], None],
        max_json: int,
    ) -> None:
        """Begin to read; `on_rubbish` is told why a connection that broke the rules is closed."""
        self._sock = sock
        self._channel = Channel(sock, decoder, max_json=max_json)
        self._on_rubbish = on_rubbish
        self._loop = loop
        self._on_message = on_message
        self._on_end = on_end
        self._paused = False
        self.open = True
        loop.watch(sock, self._turn)

    def send(self, message: msgspec.Struct) -> None:
        """Send a message as the socket takes it; a peer that does not read for long is let go."""
        if not self.open:
            return
        self._channel.send(message)
        if self._channel.waiting > _MOST_UNSENT:
            _log.error("a worker does not read what it is told: its connection is closed")
            self.close()
        elif not self._paused:
            self._loop.watch(self._sock, self._turn, writing=bool(self._channel.waiting))

    def pause(self) -> None:
        """Read no more for now: the other side will wait."""
        if self.open and not self._paused:
            self._paused = True
            self._loop.forget(self._sock)

    def resume(self) -> None:
        """Read again."""
        if self.open and self._paused:
            self._paused = False
            self._loop.watch(self._sock, self._turn, writing=bool(self._channel.waiting))

    def drain(self) -> None:
        """Read all that has arrived, up to the end of the stream if it is there.

        No more than a socket holds: a peer that writes on for ever is not waited for.
        """
        for _ in range(_MOST_READS):
            if not (self.open and self._read()):
                return

    def close(self) -> None:
        """End the connection."""
        if not self.open:
            return
        self.open = False
        if not self._paused:
            self._loop.forget(self._sock)
        self._channel.flush()
        self._channel.close()
        self._on_end()

    def _turn(self) -> None:
        if self._channel.waiting:
            self._channel.flush()
            self._loop.watch(self._sock, self._turn, writing=bool(self._channel.waiting))
        self._read()

    def _read(self) -> bool:
        """Read once; return whether something came. The end of the stream closes the connection."""
        try:
            messages = self._channel.receive()
            for message, blob in messages:
                self._on_message(message, blob)
        except WireError as error:
            _log.error("a worker's connection is closed: %s", error)
            self.close()
            self._on_rubbish(str(error))
            return False
        if not messages and self._channel.ended:
            self.close()
        return bool(messages)
