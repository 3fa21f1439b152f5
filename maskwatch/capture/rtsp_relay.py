"""Stands between FFmpeg and a camera: FFmpeg never has the credentials, and speaks to this process only.

::

    camera <== RTSP, logged in, perhaps TLS ==> RtspRelay <-- RTSP on the loopback interface --> FFmpeg

The camera's description is answered from memory. Later requests are passed on with the login, and the
interleaved packets of the camera are passed back. RTP over UDP goes to FFmpeg directly.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import select
import socket
import threading
import time

from maskwatch.capture.reachability import listen
from maskwatch.capture.rtsp_client import CameraSession
from maskwatch.capture.rtsp_message import Message, MessageError, MessageReader
from maskwatch.errors import SourceEndedError, SourceError, SourceGarbageError

_READ_BYTES = 262_144
_SEND_TIMEOUT_S = 60.0
_POLL_S = 0.5
_MAX_SKIPPED = 65_536
_ACCEPT_TIMEOUT_S = 10.0
_SOURCE = re.compile(r";\s*source=[^;,]*")


class _ClientGoneError(Exception):
    """FFmpeg has closed its connection."""


class RtspRelay:
    """Serves one client, which must know `url`; runs in a thread of its own.

    Attributes:
        url: what FFmpeg opens; it is random, so that no other local process can use the relay.
        failure: why the relay ended; None while it runs.
    """

    def __init__(self, session: CameraSession, listener: socket.socket | None, where: str) -> None:
        self.failure: SourceError | None = None
        self._session = session
        self._where = where
        self._own_listener = None if listener else listen()
        self._listener = listener or self._own_listener
        assert self._listener is not None  # one of the two
        host, port = self._listener.getsockname()[:2]
        self.url = f"rtsp://{host}:{port}/{secrets.token_urlsafe(24)}"
        self._client: socket.socket | None = None
        self._client_reader = MessageReader()
        self._pending: dict[str, tuple[Message, str]] = {}
        self._skipped = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close both connections and end the thread."""
        self._closing.set()
        for end in (self._client, self._session.socket):
            if end is not None:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        self._thread.join(_ACCEPT_TIMEOUT_S)

    def _run(self) -> None:
        try:
            self._client = self._accept()
            if self._client is not None:
                self._pump(self._client)
        except _ClientGoneError:
            pass  # FFmpeg has ended, and knows why
        except SourceError as error:
            self.failure = error
        except MessageError as error:
            self.failure = SourceGarbageError(f"{self._where}: {error}")
        except (OSError, ValueError):
            self.failure = SourceEndedError(f"{self._where}: the camera closed the connection")
        finally:
            for end in (self._client, self._own_listener):
                if end is not None:
                    end.close()
            self._session.close()

    # --- FFmpeg ------------------------------------------------------------------------------------

    def _accept(self) -> socket.socket | None:
        """Return the connection of the client that knows the address; others are closed."""
        assert self._listener is not None  # until the thread ends
        deadline = time.monotonic() + _ACCEPT_TIMEOUT_S
        while time.monotonic() < deadline and not self._closing.is_set():
            if not select.select([self._listener], [], [], _POLL_S)[0]:
                continue
            client, _ = self._listener.accept()
            client.settimeout(2.0)
            with contextlib.suppress(OSError, MessageError):
                request = self._first_request(client)
                if request is not None and secrets.compare_digest(
                    request.uri.encode(), self.url.encode()
                ):
                    client.settimeout(_SEND_TIMEOUT_S)
                    self._from_client(client, request)
                    return client
            client.close()
        return None

    def _knows_address(self, request: Message) -> bool:
        return secrets.compare_digest(request.uri.encode(errors="replace"), self.url.encode())

    def _first_request(self, client: socket.socket) -> Message | None:
        self._client_reader = MessageReader()
        while data := client.recv(_READ_BYTES):
            self._client_reader.feed(data)
            found = self._client_reader.next()
            if found is not None:
                return found if isinstance(found, Message) else None
        return None

    def _from_client(self, client: socket.socket, request: Message | bytes) -> None:
        if isinstance(request, bytes):
            self._session.socket.sendall(request)
        elif request.method in ("OPTIONS", "DESCRIBE") and request.uri == self.url:
            known = self._session.options if request.method == "OPTIONS" else self._session.description
            reply = Message("RTSP/1.0 200 OK", list(known.headers), known.body)
            reply.set("CSeq", request.get("CSeq"))
            self._to_client(client, reply.encode())
        else:
            self._request(request, request.get("CSeq"))

    def _from_ffmpeg(self, client: socket.socket) -> bytes:
        with contextlib.suppress(OSError):
            data = client.recv(_READ_BYTES)
            if data:
                return data
        raise _ClientGoneError

    def _to_client(self, client: socket.socket, data: bytes) -> None:
        try:
            client.sendall(data)
        except OSError:
            raise _ClientGoneError from None

    # --- the camera --------------------------------------------------------------------------------

    def _request(self, request: Message, client_sequence: str) -> None:
        data = self._session.encode(request)
        self._pending[request.get("CSeq")] = request, client_sequence
        self._session.socket.sendall(data)

    def _from_camera(self, client: socket.socket, found: Message | bytes) -> None:
        if isinstance(found, bytes):
            self._to_client(client, found)
            return
        request, sequence = self._pending.pop(found.get("CSeq"), (None, ""))
        if request is None:
            return  # an answer to no request, or a request of the camera: FFmpeg serves none
        if found.status == 401:
            self._session.accept_challenge(found)
            self._request(request, sequence)
            return
        self._session.note_accepted()
        found.set("CSeq", sequence)
        if request.method == "SETUP" and "UDP" not in found.get("Transport")[:11]:
            self._name_source(found)
        self._to_client(client, found.encode())

    def _name_source(self, reply: Message) -> None:
        """Have FFmpeg expect RTP over UDP from the camera, not from this relay."""
        transport = reply.get("Transport")
        if transport and "interleaved" not in transport:
            peer = self._session.socket.getpeername()[0]
            reply.set("Transport", f"{_SOURCE.sub('', transport)};source={peer}")

    def _pump(self, client: socket.socket) -> None:
        """Pass on what either side sends until one of them closes."""
        camera, reader = self._session.socket, self._session.reader
        camera.settimeout(_SEND_TIMEOUT_S)
        while not self._closing.is_set():
            self._drain(client)
            pending = getattr(camera, "pending", lambda: 0)()  # decrypted already
            ready = [camera] if pending else select.select([camera, client], [], [], _POLL_S)[0]
            if client in ready:
                data = self._from_ffmpeg(client)
                self._client_reader.feed(data)
            if camera in ready:
                data = camera.recv(_READ_BYTES)
                if not data:
                    raise SourceEndedError(f"{self._where}: the camera closed the connection")
                reader.feed(data)

    def _drain(self, client: socket.socket) -> None:
        while (request := self._client_reader.next()) is not None:
            self._from_client(client, request)
        while (found := self._next_of_camera()) is not None:
            self._from_camera(client, found)

    def _next_of_camera(self) -> Message | bytes | None:
        """Return what the camera sent next; as in FFmpeg, stray bytes between packets are skipped."""
        while True:
            try:
                found = self._session.reader.next()
            except MessageError:
                self._skipped += self._session.reader.resynchronize()
                if self._skipped > _MAX_SKIPPED:
                    raise
                continue
            if found is not None:
                self._skipped = 0
            return found
