"""A minimal MQTT broker that misbehaves as a test configures it.

It answers CONNECT, SUBSCRIBE and PINGREQ, and publishes the canary back. Other publications it
acknowledges, refuses or ignores, and it counts those without an acknowledgement.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from dataclasses import dataclass, field

CONNECT, PUBLISH, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 8, 12, 14


@dataclass
class Behaviour:
    """How the broker behaves.

    Attributes:
        connack: reason code of the answer to CONNECT; None: no answer at all.
        puback: reason code for every publication but the canary; None: no acknowledgement.
        properties: of the CONNACK (MQTT 5), encoded.
        echo_canary: whether the canary comes back.
        v5: which version the client speaks.
        garbage: bytes sent instead of a CONNACK.
        confirm_commands: whether a subscription to command topics is confirmed.
    """

    connack: int | None = 0
    puback: int | None = None
    properties: bytes = b""
    echo_canary: bool = True
    v5: bool = True
    garbage: bytes = b""
    confirm_commands: bool = True


@dataclass
class Seen:
    """What it received; `sizes` are the packet sizes of `publications`, in bytes."""

    connects: list[bytes] = field(default_factory=list)
    publications: list[tuple[str, bytes]] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    pending: int = 0
    max_pending: int = 0


def _length_bytes(length: int) -> int:
    """Return how many bytes encode this length."""
    return next(count for count in (1, 2, 3, 4) if length < 128**count)


class StubbornBroker:
    """Serves one client at a time on the loopback address."""

    def __init__(self, behaviour: Behaviour, port: int = 0) -> None:
        self.behaviour = behaviour
        self.seen = Seen()
        self._server = socket.create_server(("127.0.0.1", port))
        self.port: int = self._server.getsockname()[1]
        self._client: socket.socket | None = None
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        if self._client is not None:
            with contextlib.suppress(OSError):  # it has disconnected
                self._client.shutdown(socket.SHUT_RDWR)  # the thread's file keeps a closed socket open
            self._client.close()
        self._thread.join(5)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self._client = client
            with client:
                self._talk(client)

    def _talk(self, client: socket.socket) -> None:
        stream = client.makefile("rb")
        self.seen.pending = 0
        try:
            with stream:
                while head := stream.read(1):
                    length = shift = 0
                    while True:
                        (byte,) = stream.read(1)
                        length |= (byte & 127) << shift
                        shift += 7
                        if byte < 128:
                            break
                    if head[0] >> 4 == DISCONNECT:
                        return
                    self._answer(client, head[0], stream.read(length))
        except (OSError, ValueError):
            return

    def _answer(self, client: socket.socket, head: int, body: bytes) -> None:
        match head >> 4:
            case 1:
                self.seen.connects.append(body)
                self._answer_connect(client)
            case 3:
                self._take_publication(client, body)
            case 8 if self.behaviour.confirm_commands or b"/command/" not in body:
                self._send(client, 0x90, body[:2] + self._v5(b"\0") + b"\x01")
            case 12:
                self._send(client, 0xD0, b"")

    def _answer_connect(self, client: socket.socket) -> None:
        if self.behaviour.garbage:
            client.sendall(self.behaviour.garbage)
        elif self.behaviour.connack is not None:
            properties = bytes([len(self.behaviour.properties)]) + self.behaviour.properties
            self._send(client, 0x20, bytes([0, self.behaviour.connack]) + self._v5(properties))

    def _take_publication(self, client: socket.socket, body: bytes) -> None:
        size = int.from_bytes(body[:2], "big")
        topic, mid, rest = body[2 : 2 + size].decode(), body[2 + size : 4 + size], body[4 + size :]
        payload = rest[1 + rest[0] :] if self.behaviour.v5 else rest
        self.seen.publications.append((topic, payload))
        self.seen.sizes.append(1 + _length_bytes(len(body)) + len(body))
        self.seen.pending += 1
        self.seen.max_pending = max(self.seen.max_pending, self.seen.pending)
        canary = topic.endswith("/canary")
        code = 0 if canary else self.behaviour.puback
        if code is not None:
            self.seen.pending -= 1
            self._send(client, 0x40, mid + (bytes([code, 0]) if code else b""))
        if canary and self.behaviour.echo_canary:
            echo = body[: 2 + size] + self._v5(b"\0") + payload
            self._send(client, 0x30, echo)

    def _v5(self, data: bytes) -> bytes:
        return data if self.behaviour.v5 else b""

    @staticmethod
    def _send(client: socket.socket, head: int, body: bytes) -> None:
        assert len(body) < 128
        client.sendall(bytes([head, len(body)]) + body)
