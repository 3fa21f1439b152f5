"""A worker's connection to the recorder: sends changes, and sends them again to a restarted one."""

from __future__ import annotations

import logging
import socket
import threading
from collections import deque
from collections.abc import Callable

from maskwatch.clock import Clock
from maskwatch.domain import Change, OccupancyMinute
from maskwatch.errors import WireError
from maskwatch.ipc.channel import Channel
from maskwatch.ipc.loop import EventLoop
from maskwatch.ipc.messages import (
    CommandResult,
    FromRecorder,
    OccupancyCounted,
    Record,
    Recorded,
    SnapshotTaken,
    WorkerHello,
)
from maskwatch.ipc.wire import FROM_RECORDER, MAX_BLOB
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter, MetricsSnapshot
from maskwatch.worker.resend_buffer import ResendBuffer

_log = logging.getLogger(__name__)

_RETRY_INTERVAL_S = 0.25
_MAX_MINUTES = 240
_IDLE_S = 3600.0


class RecorderLink:
    """Takes changes, minutes and snapshots from the main thread; sends them on the connection's thread.

    Changes are kept until they are acknowledged, and sent again to a restarted recorder. Neither a
    recorder that is away nor one that is slow delays the camera's frames.

    Args:
        hello: the first message of each connection.
        answer: passes the result of a command on to the supervisor.
        on_recorded: called on the connection's thread after each acknowledgement.
    """

    def __init__(
        self,
        path: str,
        hello: WorkerHello,
        *,
        loop: EventLoop,
        clock: Clock,
        answer: Callable[[CommandResult], None],
        on_recorded: Callable[[Recorded], object],
    ) -> None:
        self._path = path
        self._hello = hello
        self._loop = loop
        self._clock = clock
        self._answer = answer
        self._on_recorded = on_recorded
        self._changes = ResendBuffer()
        self._settled = threading.Condition()  # guards `_changes` and the loss of `_channel`
        self._minutes: deque[OccupancyMinute] = deque(maxlen=_MAX_MINUTES)
        self._snapshots: deque[tuple[SnapshotTaken, bytes]] = deque()
        self._channel: Channel[FromRecorder] | None = None
        self._retry_at = 0.0
        self._labels = {"camera": hello.camera}
        self._meter = Meter()

    # --- on the main thread -------------------------------------------------------------------------

    def record(self, change: Change, picture: bytes | None, *, timeout: float) -> bool:
        """Hand a change over; return True once it is on disk.

        Waits `timeout` seconds at most, and not at all while the recorder is away. False means that
        the change is kept here and sent again until it is acknowledged.
        """
        if picture is not None and len(picture) > MAX_BLOB:
            picture = None  # a violation is recorded without its picture rather than not at all
        with self._settled:
            key = self._changes.add(change, picture, self._clock.monotonic())
        self._loop.wake()
        with self._settled:
            self._settled.wait_for(lambda: key not in self._changes or self._channel is None, timeout)
            return key not in self._changes

    def add_minute(self, minute: OccupancyMinute) -> None:
        """Hand a finished minute over; it waits for a recorder that is away."""
        self._minutes.append(minute)
        self._loop.wake()

    def add_snapshot(self, taken: SnapshotTaken, jpeg: bytes) -> None:
        """Hand a snapshot over; the recorder's result of its command goes to the supervisor."""
        self._snapshots.append((taken, jpeg))
        self._loop.wake()

    def drain(self, timeout: float) -> bool:
        """Wait until every change is acknowledged; return whether it is."""
        with self._settled:
            return self._settled.wait_for(lambda: not self._changes, timeout)

    # --- on the connection's thread -----------------------------------------------------------------

    def turn(self) -> float:
        """Connect if that is due, and send what waits; return the seconds until the next turn."""
        now = self._clock.monotonic()
        if self._channel is None and now >= self._retry_at:
            self._retry_at = now + _RETRY_INTERVAL_S
            self._connect()
        if self._channel is None:
            self._refuse_snapshots()
        else:
            self._send(self._channel)
        return _IDLE_S if self._channel else max(0.0, self._retry_at - now)

    def metrics(self) -> MetricsSnapshot:
        with self._settled:
            unacknowledged, dropped = len(self._changes), self._changes.dropped
        self._meter.set(catalogue.CHANGES_UNACKNOWLEDGED, unacknowledged, self._labels)
        self._meter.set(catalogue.CHANGES_DROPPED, dropped, self._labels)
        return self._meter.snapshot()

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()

    def _connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            sock.connect(self._path)
        except OSError:
            sock.close()
            return
        self._channel = Channel(sock, FROM_RECORDER, max_blob=0)
        self._channel.send(self._hello)

    def _send(self, channel: Channel[FromRecorder]) -> None:
        while self._snapshots:
            channel.send(*self._snapshots.popleft())
        with self._settled:
            unsent = self._changes.take_unsent()
        for unacknowledged in unsent:
            channel.send(Record(change=unacknowledged.change), unacknowledged.picture or b"")
        while self._minutes and channel.waiting == 0:
            channel.send(OccupancyCounted(minute=self._minutes.popleft()))
        self._loop.watch(channel, self._receive, writing=channel.waiting > 0)
        if channel.ended:
            self._disconnect(channel)

    def _refuse_snapshots(self) -> None:
        """Refuse the snapshots that wait: they would be out of date when the recorder is back."""
        while self._snapshots:
            taken, _ = self._snapshots.popleft()
            self._answer(CommandResult(id=taken.command, ok=False, detail="the recorder is away"))

    def _receive(self) -> None:
        channel = self._channel
        assert channel is not None  # watched only while there is one
        channel.flush()
        try:
            for message, _ in channel.receive():
                if isinstance(message, CommandResult):
                    self._answer(message)
                else:
                    self._acknowledge(message)
        except WireError as error:
            _log.error("the recorder sent an invalid message: %s", error)
        if channel.ended:
            self._disconnect(channel)

    def _acknowledge(self, message: Recorded) -> None:
        with self._settled:
            acknowledged = self._changes.acknowledged((message.violation, message.number))
            self._settled.notify_all()
        if acknowledged is not None:
            seconds = self._clock.monotonic() - acknowledged.since
            self._meter.observe(catalogue.RECORD_SECONDS, seconds, labels=self._labels)
            self._on_recorded(message)

    def _disconnect(self, channel: Channel[FromRecorder]) -> None:
        self._loop.unwatch(channel)
        channel.close()
        with self._settled:
            self._channel = None
            self._changes.mark_unsent()
            self._settled.notify_all()
