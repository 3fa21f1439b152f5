"""HTTP clients that never complete a request: each sends the beginning of one, then a byte at times."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
import time
from types import TracebackType
from typing import Self

_BEGINNING = b"GET /healthz HTTP/1.1\r\nX-Filler: "
_DRIP_SECONDS = 0.1
_PAUSE = 0.02


class DrippingClients:
    """`count` clients of a port of this machine; each connects again when it is disconnected."""

    def __init__(self, port: int, count: int, beginning: bytes = _BEGINNING) -> None:
        self.connected = 0  # connections so far
        self._address = ("127.0.0.1", port)
        self._beginning = beginning
        self._selector = selectors.DefaultSelector()
        self._stopping = False
        for _ in range(count):
            self._connect()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        self._thread.join(10)
        for key in list(self._selector.get_map().values()):
            self._disconnect(key)
        self._selector.close()

    def _connect(self) -> None:
        client = socket.create_connection(self._address, 10)
        client.sendall(self._beginning)
        client.setblocking(False)
        self._selector.register(client, selectors.EVENT_READ)
        self.connected += 1

    def _disconnect(self, key: selectors.SelectorKey) -> None:
        self._selector.unregister(key.fileobj)
        assert isinstance(key.fileobj, socket.socket)
        key.fileobj.close()

    def _run(self) -> None:
        next_drip = time.monotonic()
        while not self._stopping:
            for key, _ in self._selector.select(_DRIP_SECONDS):
                self._disconnect(key)
                self._connect()
            time.sleep(_PAUSE)  # the test and its server share one interpreter
            if time.monotonic() >= next_drip:
                next_drip = time.monotonic() + _DRIP_SECONDS
                self._drip()

    def _drip(self) -> None:
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            with contextlib.suppress(OSError):  # disconnected; the next select returns it
                key.fileobj.send(b"x")
