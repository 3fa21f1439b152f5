"""A daemon's control socket that gives one answer and records the requests."""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from maskwatch.ipc.control import Answer, Request, decode_request, encode_line


class FakeControlServer:
    """Answers every request with `answer` until it is closed."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self.requests: list[Request] = []
        self._answer = answer
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection, connection.makefile("rb") as lines:
                line = lines.readline()
                if not line:
                    return
                self.requests.append(decode_request(line))
                connection.sendall(encode_line(self._answer))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as last:
            last.connect(self._socket.getsockname())
            last.shutdown(socket.SHUT_WR)
            self._thread.join(5)
        self._socket.close()
