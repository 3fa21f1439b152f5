"""The workers' connections: who they are, what they record, and what they left open."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path

from maskwatch.clock import Clock
from maskwatch.domain import Change, OccupancyMinute
from maskwatch.errors import StoreError, WireError
from maskwatch.ipc.messages import (
    CommandResult,
    OccupancyCounted,
    Record,
    Recorded,
    SnapshotTaken,
    ToRecorder,
    WorkerHello,
)
from maskwatch.ipc.wire import TO_RECORDER
from maskwatch.recorder.identity import peer_of, process_identity
from maskwatch.recorder.intake import Intake
from maskwatch.recorder.loop import Loop
from maskwatch.recorder.peer import Peer
from maskwatch.store.database import Store
from maskwatch.store.models import ViolationRow
from maskwatch.store.record import Entry

__all__ = ["Workers", "listen"]

_log = logging.getLogger(__name__)
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

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.camera = ""
        self.peer: Peer[ToRecorder]


class Workers:
    """Accepts workers of this user, and feeds the intake with what they send."""

    def __init__(
        self,
        listener: socket.socket,
        loop: Loop,
        intake: Intake,
        on_minute: Callable[[OccupancyMinute], None],
        on_snapshot: Callable[[SnapshotTaken, bytes], CommandResult],
        *,
        run: str,
        clock: Clock,
    ) -> None:
        self._listener = listener
        self._loop = loop
        self._intake = intake
        self._on_minute = on_minute
        self._on_snapshot = on_snapshot
        self._run = run
        self._clock = clock
        self._workers: list[_Worker] = []
        self._newcomers: list[_Worker] = []
        self._last_seen: dict[str, float] = {}
        self._began = clock.monotonic()
        self.received = 0
        listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
        loop.watch(listener, self._accept)

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
        worker = _Worker(f"{self._run}/{process_identity(pid)}")
        worker.peer = Peer(
            sock, self._loop, TO_RECORDER, partial(self._take, worker), partial(self._ended, worker)
        )
        self._workers.append(worker)

    def _ended(self, worker: _Worker) -> None:
        self._workers.remove(worker)
        if worker.camera:
            self._last_seen[worker.camera] = self._clock.monotonic()

    def _take(self, worker: _Worker, message: ToRecorder, blob: bytes) -> None:
        self.received += 1
        match message:
            case WorkerHello():
                self._greet(worker, message.camera)
            case Record():
                self._record(worker, message.change, blob)
            case OccupancyCounted():
                self._require_own(worker, message.minute.camera)
                self._on_minute(message.minute)
            case SnapshotTaken():
                self._require_own(worker, message.camera)
                worker.peer.send(self._on_snapshot(message, blob))

    def _greet(self, worker: _Worker, camera: str) -> None:
        # What a former worker of the camera sent must be read before its violations are closed.
        for other in [w for w in self._workers if w.camera == camera and w is not worker]:
            other.peer.resume()
            other.peer.drain()
            other.peer.close()
        worker.camera = camera
        self._newcomers.append(worker)

    def _require_own(self, worker: _Worker, camera: str) -> None:
        if not worker.camera or worker.camera != camera:
            raise WireError(f"the worker of {worker.camera or 'no camera'!r} spoke for {camera!r}")

    def _record(self, worker: _Worker, change: Change, blob: bytes) -> None:
        self._require_own(worker, change.violation.camera)
        entry = Entry(change, blob or None, worker.owner, self._clock.now())
        self._intake.add(entry, partial(self._acknowledge, worker, change))
        if self._intake.full:
            self.flow(running=False)

    def _acknowledge(self, worker: _Worker, change: Change, stored: bool | None) -> None:  # noqa: FBT001 - a callback with one argument
        if stored is None:
            worker.peer.close()
            return
        worker.peer.send(Recorded(violation=change.violation.id, number=change.number, stored=stored))

    def flow(self, *, running: bool) -> None:
        """Read from the workers, or let them wait."""
        for worker in self._workers:
            if running:
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
        self._loop.forget(self._listener)
        self._listener.close()
        for worker in list(self._workers):
            worker.peer.close()
