"""A hostile camera: completes most of the RTSP handshake, and mutates what it sends.

Over TCP, and over UDP to a client that requests it.
"""

from __future__ import annotations

import random
import socket
import threading
from typing import Self

_SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=x\r\nt=0 0\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    "a=fmtp:96 packetization-mode=1;sprop-parameter-sets=Z0LAHtkAoEf+iA==,aM48gA==\r\n"
    "a=control:track1\r\n"
)
_STATUS = ["RTSP/9.9 200 OK", "RTSP/1.0 999999999999 OK", "RTSP/1.0 -1", "\x00\xff", "HTTP/1.1 200 OK"]
_LENGTHS = ["-1", "99999999999999999999", "2147483647", "x", "1"]
_KINDS = ("status", "header", "length", "sdp", "huge", "frames", "rtp", "nal")


class HostileCamera:
    """Serves one connection after the other, each with a mutation chosen by the seed."""

    def __init__(self, seed: int) -> None:
        self.served = 0
        self.played: set[str] = set()
        """The mutations whose session got as far as PLAY."""
        self._rng = random.Random(seed)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop serving and free the port; may be called twice."""
        if self._listener.fileno() >= 0:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self._thread.join(10)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with client:
                client.settimeout(2)
                try:
                    requested = self._session(client, _KINDS[self.served % len(_KINDS)])
                except OSError:  # the client closed the connection
                    requested = True
            self.served += requested  # a connection without a request is no session

    def _session(self, client: socket.socket, kind: str) -> bool:
        """Serve one session; return whether the client sent a request."""
        requested, port = False, 0
        stage = self._rng.choice(["OPTIONS", "DESCRIBE", "SETUP", "PLAY"])
        while request := client.recv(65536):
            requested = True
            method, *_ = request.decode(errors="replace").split(" ", 1)
            client_port = request.partition(b"client_port=")[2]
            port = int(client_port.partition(b"-")[0]) if client_port else port
            number = request.partition(b"CSeq: ")[2].partition(b"\r\n")[0].decode()
            client.sendall(self._answer(method, number, kind if method == stage else "", port))
            if method == "PLAY":
                self.played.add(kind)
                self._play(client, kind, port)
                break
        return requested

    def _play(self, client: socket.socket, kind: str, port: int) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            for _ in range(60):
                if port:
                    datagrams.sendto(self._interleaved(kind)[4:], ("127.0.0.1", port))
                else:
                    client.sendall(self._interleaved(kind))

    def _answer(self, method: str, number: str, kind: str, port: int) -> bytes:
        body = self._sdp(kind) if method == "DESCRIBE" else ""
        status = self._rng.choice(_STATUS) if kind == "status" else "RTSP/1.0 200 OK"
        length = self._rng.choice(_LENGTHS) if kind == "length" else str(len(body))
        extra = f"X-{'y' * self._rng.randrange(100_000)}: \x00\r\n:\r\n" if kind == "header" else ""
        return (
            f"{status}\r\nCSeq: {number}\r\n{extra}Session: 1\r\nContent-Type: application/sdp\r\n"
            "Public: OPTIONS, DESCRIBE, SETUP, PLAY\r\n"
            f"Transport: {self._transport(port)}\r\n"
            f"Content-Length: {length}\r\n\r\n{body}"
        ).encode("latin-1")

    def _transport(self, port: int) -> str:
        if not port:
            return "RTP/AVP/TCP;unicast;interleaved=0-1"
        return f"RTP/AVP;unicast;client_port={port}-{port + 1};server_port=9-10;source=127.0.0.1"

    def _sdp(self, kind: str) -> str:
        if kind == "huge":
            return _SDP + "m=video 0 RTP/AVP 96\r\n" * 20_000
        if kind != "sdp":
            return _SDP
        at = self._rng.randrange(len(_SDP))
        return _SDP[:at] + "\x00\xff%n" * self._rng.randrange(50) + _SDP[at + self._rng.randrange(40) :]

    def _interleaved(self, kind: str) -> bytes:
        nal = bytes([self._rng.choice([0x65, 0x41, 0x7C, 0x78, 0x67, 0x00])]) + self._rng.randbytes(300)
        header = b"\x80\xe0" + self._rng.randbytes(2 + 4) + b"\x00\x00\x00\x01"
        packet = header + nal
        if kind == "rtp":
            packet = self._rng.randbytes(1) + packet[1 : self._rng.randrange(2, 40)]
        length = self._rng.randrange(65536) if kind == "frames" else len(packet)
        return b"$\x00" + length.to_bytes(2, "big") + packet
