"""The workers' connections: authenticated, limited in rate, and read into the intake."""

from __future__ import annotations

import logging
import os
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import msgspec

from maskwatch.clock import Clock
from maskwatch.domain import Change, OccupancyMinute
from maskwatch.errors import StoreError, WireError
from maskwatch.ipc.channel import Channel
from maskwatch.ipc.loop import EventLoop
from maskwatch.ipc.messages import (
    CommandResult,
    OccupancyCounted,
    Record,
    Recorded,
    SnapshotTaken,
    ToRecorder,
    WorkerHello,
)
from maskwatch.ipc.peer_credentials import introduced, peer_of, process_identity
from maskwatch.ipc.token_bucket import TokenBucket
from maskwatch.ipc.wire import TO_RECORDER
from maskwatch.ipc.worker_tokens import is_worker_token
from maskwatch.recorder.intake import Intake
from maskwatch.secrets import Secret
from maskwatch.store.record import Entry

_log = logging.getLogger(__name__)

_MAX_UNSENT = 4 << 20
_MAX_READS = 64  # of 256 KiB each
_MAX_JSON = 64 << 10  # a change is a kilobyte
_MAX_CONNECTIONS = 4  # of one process, each of which may hold half a picture; a worker has one
_MAX_UNGREETED = 64  # of all processes; a worker greets as soon as it is connected
_GREETING_TIMEOUT = 10.0
# What a worker may send in the long run, and in a burst: as much as it keeps while the recorder is
# away. Each message costs further bytes, since it is a commit and an alert.
_BYTES_PER_SECOND = 512 << 10
_BURST_BYTES = 96 << 20
_MESSAGE_BYTES = 16 << 10


class _Connection:
    """A worker's connection, which can be paused.

    Any error, from `on_message` too, ends the connection: `on_end` is called, and `on_misbehaviour` with
    the reason.
    """

    def __init__(
        self,
        sock: socket.socket,
        loop: EventLoop,
        *,
        on_message: Callable[[ToRecorder, bytes], None],
        on_end: Callable[[], None],
        on_misbehaviour: Callable[[str], None],
    ) -> None:
        self._sock = sock
        self._channel = Channel(sock, TO_RECORDER, max_json=_MAX_JSON)
        self._on_misbehaviour = on_misbehaviour
        self._loop = loop
        self._on_message = on_message
        self._on_end = on_end
        self.paused = False
        self.open = True
        loop.watch(sock, self._turn)

    def send(self, message: msgspec.Struct) -> None:
        """Send a message as the socket accepts it; a peer that stops reading is disconnected."""
        if not self.open:
            return
        self._channel.send(message)
        if self._channel.waiting > _MAX_UNSENT:
            self._disconnect("it does not read its messages")
        elif not self.paused:
            self._loop.watch(self._sock, self._turn, writing=bool(self._channel.waiting))

    def pause(self) -> None:
        if self.open and not self.paused:
            self.paused = True
            self._loop.unwatch(self._sock)

    def resume(self) -> None:
        if self.open and self.paused:
            self.paused = False
            self._loop.watch(self._sock, self._turn, writing=bool(self._channel.waiting))

    def drain(self) -> None:
        """Read what has arrived, up to the end of the stream if it is there.

        No more than a socket holds: a peer may go on writing without end.
        """
        for _ in range(_MAX_READS):
            if not (self.open and self._read()):
                return

    def close(self) -> None:
        if not self.open:
            return
        self.open = False
        if not self.paused:
            self._loop.unwatch(self._sock)
        self._channel.flush()
        self._channel.close()
        self._on_end()

    def _turn(self) -> None:
        if self._channel.waiting:
            self._channel.flush()
            self._loop.watch(self._sock, self._turn, writing=bool(self._channel.waiting))
        self._read()

    def _read(self) -> bool:
        """Read once; return whether a message arrived. The end of the stream closes the connection."""
        try:
            messages = self._channel.receive()
            for message, blob in messages:
                self._on_message(message, blob)
        except WireError as error:
            self._disconnect(str(error))
            return False
        except Exception:  # noqa: BLE001 - what a peer sends must never end this process
            _log.exception("a message of a worker cannot be handled")
            self._disconnect("sent a message that cannot be handled")
            return False
        if not messages and self._channel.ended:
            self.close()
        return bool(messages)

    def _disconnect(self, reason: str) -> None:
        _log.error("a worker is disconnected: %s", reason)
        self.close()
        self._on_misbehaviour(reason)


def _listen(path: Path) -> socket.socket:
    """Listen at `path`, for this user only; a socket of a former run is replaced.

    Raises:
        StoreError: the socket cannot be created there.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        previous_umask = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(previous_umask)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise StoreError(f"cannot listen at {path}: {error.strerror or error}") from error
    listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
    return listener


class _Worker:
    """One connection, and the process and camera at its other end."""

    def __init__(self, pid: int, owner: str, bucket: TokenBucket, now: float) -> None:
        self.pid = pid
        self.owner = owner
        self.camera = ""
        self.connected_at = now
        self.bucket = bucket
        self.connection: _Connection


class Newcomer(NamedTuple):
    """A worker that has just connected for a camera; `owner` identifies its process."""

    camera: str
    owner: str


@dataclass(frozen=True, slots=True)
class WorkerEvents:
    """Callbacks of `WorkerConnections`.

    Attributes:
        minute: takes a count, which is in the intake already.
        snapshot: takes a picture and its JPEG; returns the result of its command.
        misbehaved: takes the id of a process that broke the protocol, and the reason.
    """

    minute: Callable[[OccupancyMinute], None]
    snapshot: Callable[[SnapshotTaken, bytes], CommandResult]
    misbehaved: Callable[[int, str], None]


class WorkerConnections:
    """Accepts workers of this user, and adds the changes and counts they send to the intake.

    Args:
        path: of the socket to listen at.
        run: identifies this run of the daemon.
        key: the key of all worker tokens.

    Attributes:
        received: how many messages have arrived.
        newcomers: workers that connected and whose predecessors' violations are not closed yet.

    Raises:
        StoreError: the socket cannot be created there.
    """

    def __init__(
        self,
        path: Path,
        loop: EventLoop,
        intake: Intake,
        events: WorkerEvents,
        *,
        run: str,
        key: Secret,
        clock: Clock,
    ) -> None:
        self.received = 0
        self.newcomers: deque[Newcomer] = deque()
        self._path = path
        self._loop = loop
        self._intake = intake
        self._events = events
        self._run = run
        self._key = key
        self._clock = clock
        self._workers: list[_Worker] = []
        self._buckets: dict[str, TokenBucket] = {}
        self._last_seen: dict[str, float] = {}
        self._started = clock.monotonic()
        self._listener = _listen(path)
        loop.watch(self._listener, self._accept)

    def stay_reachable(self) -> None:
        """Listen again if the socket was removed, or if no connection could be accepted for a while."""
        self._end_ungreeted()
        self._drop_full_buckets()
        if self._path.exists():
            self._loop.watch(self._listener, self._accept)
            return
        _log.error("the socket %s was removed: listening again", self._path)
        try:
            listener = _listen(self._path)
        except StoreError as error:
            _log.error("%s", error)
            return
        self._close_listener()
        self._listener = listener
        self._loop.watch(listener, self._accept)

    def _end_ungreeted(self) -> None:
        """End the connections that stay silent; a worker that was only slow connects again."""
        due = self._clock.monotonic() - _GREETING_TIMEOUT
        for worker in [each for each in self._workers if not each.camera]:
            if worker.connected_at <= due and not worker.connection.paused:
                _log.error("process %d connected to the recorder and sent no greeting", worker.pid)
                worker.connection.close()

    def _drop_full_buckets(self) -> None:
        now, connected = self._clock.monotonic(), {worker.owner for worker in self._workers}
        for owner, bucket in list(self._buckets.items()):
            if owner not in connected and bucket.is_full(now):
                del self._buckets[owner]

    def _close_listener(self) -> None:
        self._loop.unwatch(self._listener)
        self._listener.close()

    def _accept(self) -> None:
        try:
            sock, address = self._listener.accept()
        except OSError as error:
            # Out of descriptors: the listener stays readable, and this loop would never rest.
            _log.warning("a worker's connection could not be accepted: %s", error)
            self._loop.unwatch(self._listener)
            return
        pid, uid = peer_of(sock)
        if uid != os.geteuid():
            _log.error("a process of user %d (pid %d) was refused at the recorder's socket", uid, pid)
            sock.close()
            return
        pid = introduced(pid, address)
        if sum(worker.pid == pid for worker in self._workers) >= _MAX_CONNECTIONS:
            _log.error("process %d was refused at the recorder's socket: too many connections", pid)
            sock.close()
            self._events.misbehaved(pid, "too many connections")
            return
        if sum(not worker.camera for worker in self._workers) >= _MAX_UNGREETED:
            _log.error("process %d was refused: too many connections without a greeting", pid)
            sock.close()
            return
        self._workers.append(self._connected(sock, pid))

    def _connected(self, sock: socket.socket, pid: int) -> _Worker:
        owner, now = f"{self._run}/{process_identity(pid)}", self._clock.monotonic()
        # One bucket for all connections of a process: a new connection must not fill it.
        new = TokenBucket(_BYTES_PER_SECOND, _BURST_BYTES, now)
        worker = _Worker(pid, owner, self._buckets.setdefault(owner, new), now)
        worker.connection = _Connection(
            sock,
            self._loop,
            on_message=partial(self._receive, worker),
            on_end=partial(self._ended, worker),
            on_misbehaviour=partial(self._events.misbehaved, pid),
        )
        if worker.bucket.available(now) < 0:
            worker.connection.pause()
        return worker

    def _ended(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        if worker.camera:
            self._last_seen[worker.camera] = self._clock.monotonic()

    def _receive(self, worker: _Worker, message: ToRecorder, blob: bytes) -> None:
        self.received += 1
        if not worker.bucket.spend(len(blob) + _MESSAGE_BYTES, self._clock.monotonic()):
            worker.connection.pause()  # until its bucket has refilled
        match message:
            case WorkerHello():
                self._authenticate(worker, message)
            case Record():
                self._record(worker, message.change, blob)
            case OccupancyCounted():
                self._require_own(worker, message.minute.camera)
                self._intake.add_minute(message.minute)
                self._events.minute(message.minute)
            case SnapshotTaken():
                self._require_own(worker, message.camera)
                worker.connection.send(self._events.snapshot(message, blob))

    def _authenticate(self, worker: _Worker, hello: WorkerHello) -> None:
        camera = hello.camera
        if worker.camera or not is_worker_token(hello.token, self._key, camera):
            raise WireError(f"a worker of {camera[:64]!r} without its token")
        # What a former worker of the camera sent must be read before its violations are closed. A
        # process that sends too much must not have more read by greeting again.
        within_rate = worker.bucket.available(self._clock.monotonic()) >= 0
        for other in [w for w in self._workers if w.camera == camera and w is not worker]:
            if within_rate or other.owner != worker.owner:
                other.connection.resume()
                other.connection.drain()
            other.connection.close()
        worker.camera = camera
        self.newcomers.append(Newcomer(camera, worker.owner))

    def _require_own(self, worker: _Worker, camera: str) -> None:
        if not worker.camera or worker.camera != camera:
            raise WireError(
                f"the worker of {worker.camera or 'no camera'!r} sent a message about {camera[:64]!r}"
            )

    def _record(self, worker: _Worker, change: Change, blob: bytes) -> None:
        self._require_own(worker, change.violation.camera)
        entry = Entry(change, blob or None, worker.owner, self._clock.now())
        self._intake.add(entry, partial(self._acknowledge, worker, change))
        if self._intake.full:
            self.flow(running=False)

    def _acknowledge(self, worker: _Worker, change: Change, stored: bool | None) -> None:  # noqa: FBT001 - a callback with one argument
        if stored is None:  # unacknowledged, the worker would send it again and again
            worker.connection.close()
            self._events.misbehaved(worker.pid, "a change that can never be stored")
            return
        acknowledgement = Recorded(violation=change.violation.id, number=change.number, stored=stored)
        worker.connection.send(acknowledgement)

    def flow(self, *, running: bool) -> None:
        """Read from the workers, or pause them; one that has sent too much is paused in any case."""
        now = self._clock.monotonic()
        for worker in self._workers:
            if running and worker.bucket.available(now) >= 0:
                worker.connection.resume()
            else:
                worker.connection.pause()

    def seconds_absent(self, camera: str) -> float:
        """Return for how long the camera has had no worker here, or since the start."""
        if any(worker.camera == camera for worker in self._workers):
            return 0.0
        return self._clock.monotonic() - self._last_seen.get(camera, self._started)

    def close(self) -> None:
        self._close_listener()
        for worker in list(self._workers):
            worker.connection.close()
        self._path.unlink(missing_ok=True)
