"""A worker's lines to the supervisor and to the recorder, on a thread of their own.

The thread beats although the main thread may hang in a decoder, and tells the truth then: frames
that stand still, and a deadline that passes. Neither line ever holds up the camera's frames.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from maskwatch.clock import Clock
from maskwatch.domain import CameraState, Change, OccupancyMinute
from maskwatch.errors import WireError
from maskwatch.ipc.channel import Channel
from maskwatch.ipc.child import SupervisorChannel
from maskwatch.ipc.messages import (
    Command,
    CommandResult,
    FromRecorder,
    Heartbeat,
    Metrics,
    OccupancyCounted,
    Ready,
    Record,
    Recorded,
    SnapshotTaken,
    Stop,
    ToChild,
    WorkerHello,
)
from maskwatch.ipc.wire import FROM_RECORDER, MAX_BLOB
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import Meter, MetricsSnapshot
from maskwatch.worker.resend_buffer import Key, ResendBuffer

__all__ = ["CameraStatusUpdate", "WorkerConnection"]

_log = logging.getLogger(__name__)
_BEAT = 1.0
_METRICS = 5.0
_RETRY = 0.25
_MINUTES = 240


@dataclass(frozen=True, slots=True)
class CameraStatusUpdate:
    """What the next heartbeats say. `leave_by` is a moment on the monotonic clock, or None."""

    state: CameraState
    reason: str
    since: datetime
    leave_by: float | None
    attempt: int


class WorkerConnection:
    """Starts its thread at `start`. Every public method may be called from the main thread.

    Args:
        uplink: the line to the supervisor.
        recorder: path of the recorder's socket.
        camera: the camera's name.
        clock: for deadlines.
        token: authenticates the worker to the recorder.
        supervisor_gone: called when the line to the supervisor ends; must end the process.
        recorded: called on the link's thread after each acknowledgement.

    """

    def __init__(
        self,
        uplink: SupervisorChannel,
        recorder: str,
        camera: str,
        *,
        clock: Clock,
        token: str = "",
        supervisor_gone: Callable[[], object] = lambda: os._exit(0),
        recorded: Callable[[Recorded], object] = lambda _: None,
    ) -> None:
        self.stopping = threading.Event()
        self.grace = 0.0
        self._uplink = uplink
        self._path = recorder
        self._hello = WorkerHello(camera=camera, token=token)
        self._labels: Mapping[str, str] = {"camera": camera}
        self._clock = clock
        self._supervisor_gone = supervisor_gone
        self._recorded = recorded
        self._commands: deque[Command] = deque()
        self._minutes: deque[OccupancyMinute] = deque(maxlen=_MINUTES)
        self._snapshots: deque[tuple[SnapshotTaken, bytes]] = deque()
        self._pulse = CameraStatusUpdate(CameraState.CONNECTING, "starting", clock.now(), None, 0)
        self._frames = 0
        self._last_frame: datetime | None = None
        self._snapshot = MetricsSnapshot()
        self._meter = Meter()
        self._waiting = ResendBuffer()
        self._acks = threading.Condition()
        self._recorder: Channel[FromRecorder] | None = None
        self._retry_at = 0.0
        self._selector = selectors.DefaultSelector()
        self._bell_out, self._bell_in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._due: dict[str, float] = {}
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    # --- from the main thread ----------------------------------------------------------------------

    def start(self) -> None:
        """Say that set-up is done, and begin to beat."""
        self._uplink.send(Ready())
        self._thread.start()

    def pulse(self, pulse: CameraStatusUpdate) -> None:
        """Have the next heartbeats say this; a change of state is told at once."""
        changed = (pulse.state, pulse.reason) != (self._pulse.state, self._pulse.reason)
        self._pulse = pulse
        if changed:
            self._due["beat"] = 0.0
            self._ring()

    def processed(self, captured_at: datetime) -> None:
        """A frame has been taken all the way through the pipeline."""
        self._frames += 1
        self._last_frame = captured_at

    def counted(self, snapshot: MetricsSnapshot) -> None:
        """What the main thread has counted since the beginning."""
        self._snapshot = snapshot

    def commands(self) -> list[Command]:
        """Return the commands that arrived since the last call."""
        found = []
        while self._commands:
            found.append(self._commands.popleft())
        return found

    def answer(self, result: CommandResult) -> None:
        """Say how a command ended."""
        self._uplink.send(result)

    def record(self, change: Change, picture: bytes | None, *, patience: float) -> bool:
        """Hand a change over; return True once it is on disk.

        It is waited for `patience` seconds at most, and not at all while the recorder is away:
        False means that the change is kept here and sent again until it is acknowledged.
        """
        if picture is not None and len(picture) > MAX_BLOB:
            picture = None  # the violation stands without it
        with self._acks:
            key = self._waiting.add(change, picture, self._clock.monotonic())
        self._ring()
        if self._recorder is None:
            return False
        return self._wait_for(key, patience)

    def minute(self, minute: OccupancyMinute) -> None:
        """Hand a finished minute over; a recorder that is away gets it when it is back."""
        self._minutes.append(minute)
        self._ring()

    def snapshot(self, taken: SnapshotTaken, jpeg: bytes) -> None:
        """Hand a snapshot over; the recorder's answer to its command is passed on to the supervisor."""
        self._snapshots.append((taken, jpeg))
        self._ring()

    def drain(self, timeout: float) -> bool:
        """Wait until everything is acknowledged; return whether it is."""
        with self._acks:
            return self._acks.wait_for(lambda: not self._waiting, timeout)

    def close(self) -> None:
        """Say the last words and end the thread."""
        self._closing = True
        self._ring()
        self._thread.join(2.0)

    def _wait_for(self, key: Key, patience: float) -> bool:
        def settled() -> bool:
            return key not in self._waiting or self._recorder is None

        with self._acks:
            self._acks.wait_for(settled, patience)
            return key not in self._waiting

    def _ring(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it rings already
            os.write(self._bell_in, b"\0")

    # --- on the link's thread ------------------------------------------------------------------------

    def _run(self) -> None:
        self._selector.register(self._bell_out, selectors.EVENT_READ, self._hush)
        self._selector.register(self._uplink, selectors.EVENT_READ, self._hear_supervisor)
        while not self._closing:
            self._turn()
        self._say(now=self._clock.monotonic(), last=True)
        if self._recorder is not None:
            self._recorder.close()

    def _turn(self) -> None:
        now = self._clock.monotonic()
        self._connect_when_due(now)
        self._feed_recorder()
        self._say(now)
        self._watch_writing()
        for key, _ in self._selector.select(self._nap(now)):
            key.data()
        if self._uplink.waiting:
            self._uplink.flush()

    def _nap(self, now: float) -> float:
        """Return how long nothing will be due."""
        due = min(self._due.get("beat", 0.0), self._due.get("metrics", 0.0))
        if self._recorder is None:
            due = min(due, self._retry_at)
        return max(0.0, due - now)

    def _say(self, now: float, *, last: bool = False) -> None:
        if last or self._is_due("beat", now, _BEAT):
            self._uplink.send(self._heartbeat(now), droppable=True)
        if last or self._is_due("metrics", now, _METRICS):
            self._uplink.send(Metrics(snapshot=self._all_counted()), droppable=True)

    def _is_due(self, what: str, now: float, every: float) -> bool:
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + every
        return True

    def _heartbeat(self, now: float) -> Heartbeat:
        pulse = self._pulse
        left = None if pulse.leave_by is None else pulse.leave_by - now
        return Heartbeat(
            state=pulse.state,
            reason=pulse.reason,
            since=pulse.since,
            leave_by=left,
            frames=self._frames,
            last_frame=self._last_frame,
            attempt=pulse.attempt,
        )

    def _all_counted(self) -> MetricsSnapshot:
        with self._acks:
            waiting, dropped = len(self._waiting), self._waiting.dropped
        self._meter.set(catalogue.CHANGES_UNACKNOWLEDGED, waiting, self._labels)
        self._meter.set(catalogue.CHANGES_DROPPED, dropped, self._labels)
        own, main = self._meter.snapshot(), self._snapshot
        return MetricsSnapshot(main.samples + own.samples, main.histograms + own.histograms)

    def _hush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while os.read(self._bell_out, 4096):
                pass

    # --- the supervisor's line -----------------------------------------------------------------------

    def _hear_supervisor(self) -> None:
        try:
            for message in self._uplink.messages():
                self._obey(message)
        except WireError as error:
            _log.error("the supervisor sent what is no message: %s", error)
        if self._uplink.ended:
            self._supervisor_gone()

    def _obey(self, message: ToChild) -> None:
        match message:
            case Stop():
                self.grace = message.grace
                self.stopping.set()
            case Command():
                self._commands.append(message)
            case _:
                pass  # a configuration changes the log only, which the uplink has done

    # --- the recorder's line -------------------------------------------------------------------------

    def _connect_when_due(self, now: float) -> None:
        if self._recorder is not None or now < self._retry_at:
            return
        self._retry_at = now + _RETRY
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        try:
            sock.connect(self._path)
        except OSError:
            sock.close()
            return
        self._recorder = Channel(sock, FROM_RECORDER, max_blob=0)
        self._recorder.send(self._hello)
        self._selector.register(self._recorder, selectors.EVENT_READ, self._hear_recorder)

    def _feed_recorder(self) -> None:
        recorder = self._recorder
        if recorder is None:
            self._refuse_snapshots()
            return
        while self._snapshots:
            recorder.send(*self._snapshots.popleft())
        with self._acks:
            unsent = self._waiting.unsent()
        for waiting in unsent:
            recorder.send(Record(change=waiting.change), waiting.picture or b"")
        while self._minutes and recorder.waiting == 0:
            recorder.send(OccupancyCounted(minute=self._minutes.popleft()))
        if recorder.ended:
            self._lose_recorder()

    def _refuse_snapshots(self) -> None:
        """A picture that waits for a recorder is soon no picture of now."""
        while self._snapshots:
            taken, _ = self._snapshots.popleft()
            self.answer(CommandResult(id=taken.command, ok=False, detail="the recorder is away"))

    def _watch_writing(self) -> None:
        if self._recorder is not None:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._recorder.waiting else 0)
            self._selector.modify(self._recorder, events, self._hear_recorder)

    def _hear_recorder(self) -> None:
        recorder = self._recorder
        assert recorder is not None  # registered only while there is one
        recorder.flush()
        try:
            for message, _ in recorder.receive():
                if isinstance(message, CommandResult):
                    self.answer(message)
                else:
                    self._acknowledge(message)
        except WireError as error:
            _log.error("the recorder sent what is no message: %s", error)
        if recorder.ended:
            self._lose_recorder()

    def _acknowledge(self, message: Recorded) -> None:
        with self._acks:
            waiting = self._waiting.acknowledged((message.violation, message.number))
            self._acks.notify_all()
        if waiting is not None:
            took = self._clock.monotonic() - waiting.since
            self._meter.observe(catalogue.RECORD_SECONDS, took, labels=self._labels)
            self._recorded(message)

    def _lose_recorder(self) -> None:
        recorder = self._recorder
        assert recorder is not None  # called only while there is one
        self._selector.unregister(recorder)
        recorder.close()
        with self._acks:
            self._recorder = None
            self._waiting.recorder_lost()
            self._acks.notify_all()
