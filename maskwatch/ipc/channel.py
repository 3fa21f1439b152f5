"""A non-blocking, bounded message channel over a stream socket."""

from __future__ import annotations

import socket
import threading
from typing import Generic, TypeVar

import msgspec

from maskwatch.ipc.wire import MAX_BLOB, MAX_JSON, Reader, encode

T = TypeVar("T")

_CHUNK = 256 * 1024


class Channel(Generic[T]):
    """Sends and receives messages over a connected stream socket.

    One thread receives; any thread may send. `ended` becomes true at the peer's end of file or when
    the connection breaks: from then on nothing arrives and what is sent is lost.

    Args:
        sock: connected, of stream type; the channel owns it from now on.
        decoder: of the messages that may arrive (one of `maskwatch.ipc.wire`).
        limit: bytes that may wait to be sent before `send` refuses `droppable` messages.
    """

    def __init__(
        self,
        sock: socket.socket,
        decoder: msgspec.json.Decoder[T],
        *,
        limit: int = 1024 * 1024,
        max_json: int = MAX_JSON,
        max_blob: int = MAX_BLOB,
    ) -> None:
        sock.setblocking(False)  # noqa: FBT003 - the socket's own signature
        self.socket = sock
        self.reader = Reader(decoder, max_json=max_json, max_blob=max_blob)
        self._limit = limit
        self._out = bytearray()
        self._lock = threading.Lock()
        self.ended = False
        self.received_bytes = 0
        """Bytes that the last `receive` read."""

    def fileno(self) -> int:
        """Return the socket's descriptor, for a selector; -1 once closed."""
        return self.socket.fileno()

    @property
    def waiting(self) -> int:
        """The bytes that wait to be sent; while there are any, call `flush` when writable."""
        return len(self._out)

    def receive(self) -> list[tuple[T, bytes]]:
        """Return the messages that have arrived, without waiting; sets `ended` at the end.

        Raises:
            WireError: the peer sent an invalid message; `ended` is set.
        """
        self.received_bytes = 0
        try:
            data = self.socket.recv(_CHUNK)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError:
            self.ended = True
            return []
        if not data:
            self.ended = True
            return []
        self.received_bytes = len(data)
        self.ended = True  # stays so if the next line raises
        messages = self.reader.feed(data)
        self.ended = False
        return messages

    def send(self, message: msgspec.Struct, blob: bytes = b"", *, droppable: bool = False) -> bool:
        """Send, or keep for `flush`; return whether either was done.

        A `droppable` message (a heartbeat, metrics: the next one replaces it) is refused when the
        peer has stopped reading; any other waits.

        Raises:
            WireError: the message is longer than a peer accepts.
        """
        frame = encode(message, blob)
        with self._lock:
            if self.ended or (droppable and len(self._out) > self._limit):
                return False
            self._out += frame
        self.flush()
        return not self.ended

    def flush(self) -> None:
        """Send as much of what waits as the socket accepts now."""
        with self._lock:
            try:
                while self._out:
                    sent = self.socket.send(self._out[:_CHUNK])
                    del self._out[:sent]
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                self._out.clear()
                self.ended = True

    def close(self) -> None:
        """Close the connection; may be called twice."""
        self.ended = True
        self.socket.close()
