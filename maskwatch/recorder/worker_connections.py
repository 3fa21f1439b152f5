"""The workers' connections: who they are, what they record, and what they left open."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Generic, TypeVar

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
from maskwatch.ipc.peer_credentials import peer_of, process_identity
from maskwatch.ipc.token_bucket import TokenBucket
from maskwatch.ipc.wire import TO_RECORDER
from maskwatch.ipc.worker_tokens import is_worker_token
from maskwatch.recorder.intake import Intake
from maskwatch.secrets import Secret
from maskwatch.store.database import Store
from maskwatch.store.models import ViolationRow
from maskwatch.store.record import Entry

__all__ = ["PeerConnection", "WorkerConnections", "WorkerEvents", "listen"]

_MOST_UNSENT = 4 << 20
_MOST_READS = 64  # of 256 KiB each

M = TypeVar("M")


class PeerConnection(Generic[M]):
    """A worker's connection, on which messages of type `M` arrive, each with a blob."""

    def __init__(
        self,
        sock: socket.socket,
        loop: EventLoop,
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
            self._loop.unwatch(self._sock)

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


_log = logging.getLogger(__name__)
_MAX_JSON = 64 << 10  # a change is a kilobyte
_CONNECTIONS = 4  # of one process, each of which may hold half a picture; a worker has one
# What a worker may send in the long run, and at once: as much as it keeps while we are away. Each
# message counts as so many bytes more, since it is a commit and an alert.
_BYTES_A_SECOND = 512 << 10
_MOST_BYTES = 96 << 20
_MESSAGE = 16 << 10
_ORPHANED_AFTER = 60.0  # seconds without a worker before what it left open is closed


def listen(path: Path) -> socket.socket:
    """Listen at `path`, for this user only; a socket of a former run is replaced.

    Raises:
        StoreError: the socket cannot be made there.

    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise StoreError(f"cannot listen at {path}: {error.strerror or error}") from error
    return listener


class _Worker:
    """One connection, and who is at its other end."""

    def __init__(self, pid: int, owner: str, now: float) -> None:
        self.pid = pid
        self.owner = owner
        self.camera = ""
        self.allowance = TokenBucket(_BYTES_A_SECOND, _MOST_BYTES, now)
        self.peer: PeerConnection[ToRecorder]


@dataclass(frozen=True, slots=True)
class WorkerEvents:
    """Who is told of a count, of a snapshot, and of a process that broke the rules (and why)."""

    minute: Callable[[OccupancyMinute], None]
    snapshot: Callable[[SnapshotTaken, bytes], CommandResult]
    distrust: Callable[[int, str], None]


class WorkerConnections:
    """Accepts workers of this user, and feeds the intake with what they send."""

    def __init__(
        self,
        listener: socket.socket,
        loop: EventLoop,
        intake: Intake,
        tell: WorkerEvents,
        *,
        run: str,
        key: Secret,
        clock: Clock,
    ) -> None:
        """Listen; `key` is the key of all worker tokens."""
        self._loop = loop
        self._intake = intake
        self._tell = tell
        self._run = run
        self._key = key
        self._clock = clock
        self._workers: list[_Worker] = []
        self._newcomers: list[_Worker] = []
        self._last_seen: dict[str, float] = {}
        self._began = clock.monotonic()
        self.received = 0
        self._watch(listener)

    def _watch(self, listener: socket.socket) -> None:
        listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
        self._listener = listener
        self._loop.watch(listener, self._accept)

    def listen_at(self, listener: socket.socket) -> None:
        """Listen there from now on; who is connected stays so."""
        self._loop.unwatch(self._listener)
        self._listener.close()
        self._watch(listener)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError as error:
            _log.warning("a worker's connection could not be accepted: %s", error)
            return
        pid, uid = peer_of(sock)
        if uid != os.geteuid():
            _log.error("a process of user %d (pid %d) was refused at the recorder's socket", uid, pid)
            sock.close()
            return
        if sum(worker.pid == pid for worker in self._workers) >= _CONNECTIONS:
            _log.error("process %d was refused at the recorder's socket: it has enough connections", pid)
            sock.close()
            self._tell.distrust(pid, "one connection after the other")
            return
        self._workers.append(self._greeted_by(sock, pid))

    def _greeted_by(self, sock: socket.socket, pid: int) -> _Worker:
        owner = f"{self._run}/{process_identity(pid)}"
        worker = _Worker(pid, owner, self._clock.monotonic())
        worker.peer = PeerConnection(
            sock,
            self._loop,
            TO_RECORDER,
            partial(self._take, worker),
            partial(self._ended, worker),
            on_rubbish=partial(self._tell.distrust, pid),
            max_json=_MAX_JSON,
        )
        return worker

    def _ended(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        if worker.camera:
            self._last_seen[worker.camera] = self._clock.monotonic()

    def _take(self, worker: _Worker, message: ToRecorder, blob: bytes) -> None:
        self.received += 1
        if not worker.allowance.spend(len(blob) + _MESSAGE, self._clock.monotonic()):
            worker.peer.pause()  # the others have their turn
        match message:
            case WorkerHello():
                self._greet(worker, message)
            case Record():
                self._record(worker, message.change, blob)
            case OccupancyCounted():
                self._require_own(worker, message.minute.camera)
                self._tell.minute(message.minute)
            case SnapshotTaken():
                self._require_own(worker, message.camera)
                worker.peer.send(self._tell.snapshot(message, blob))

    def _greet(self, worker: _Worker, hello: WorkerHello) -> None:
        camera = hello.camera
        if worker.camera or not is_worker_token(hello.token, self._key, camera):
            raise WireError(f"a greeting in the name of {camera[:64]!r} that is not its to give")
        # What a former worker of the camera sent must be read before its violations are closed.
        for other in [w for w in self._workers if w.camera == camera and w is not worker]:
            other.peer.resume()
            other.peer.drain()
            other.peer.close()
        worker.camera = camera
        self._newcomers.append(worker)

    def _require_own(self, worker: _Worker, camera: str) -> None:
        if not worker.camera or worker.camera != camera:
            raise WireError(f"the worker of {worker.camera or 'no camera'!r} spoke for {camera[:64]!r}")

    def _record(self, worker: _Worker, change: Change, blob: bytes) -> None:
        self._require_own(worker, change.violation.camera)
        entry = Entry(change, blob or None, worker.owner, self._clock.now())
        self._intake.add(entry, partial(self._acknowledge, worker, change))
        if self._intake.full:
            self.flow(running=False)

    def _acknowledge(self, worker: _Worker, change: Change, stored: bool | None) -> None:  # noqa: FBT001 - a callback with one argument
        if stored is None:  # it would come again for ever
            worker.peer.close()
            self._tell.distrust(worker.pid, "a change that can never be stored")
            return
        worker.peer.send(Recorded(violation=change.violation.id, number=change.number, stored=stored))

    def flow(self, *, running: bool) -> None:
        """Read from the workers, or let them wait; who has sent too much waits in any case."""
        now = self._clock.monotonic()
        for worker in self._workers:
            if running and worker.allowance.spend(0, now):
                worker.peer.resume()
            else:
                worker.peer.pause()

    # --- what was left open -----------------------------------------------------------------------

    def left_open(self, store: Store) -> list[Change]:
        """Return what replaced workers left open, once. Call it when nothing waits in the intake.

        Raises:
            StoreError: the database cannot be read now; ask again.

        """
        found: list[Change] = []
        while self._newcomers:
            worker = self._newcomers[0]
            found += store.open_changes(
                ViolationRow.camera == worker.camera, ViolationRow.owner != worker.owner
            )
            self._newcomers.pop(0)
        return found

    def orphaned(self, open_changes: Collection[Change]) -> list[Change]:
        """Return what is open of cameras that have had no worker for a while."""
        now = self._clock.monotonic()
        for worker in self._workers:
            self._last_seen[worker.camera] = now
        return [
            change
            for change in open_changes
            if now - self._last_seen.get(change.violation.camera, self._began) > _ORPHANED_AFTER
        ]

    def close(self) -> None:
        """Take no more workers, and end their connections."""
        self._loop.unwatch(self._listener)
        self._listener.close()
        for worker in list(self._workers):
            worker.peer.close()
