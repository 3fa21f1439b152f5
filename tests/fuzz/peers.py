"""What a worker sends, through the recorder and the supervisor to everything that its values reach.

An input is a frame. Every message that is valid must be handled: the limits of its values are those of
the database, of MQTT, of metrics and of the status.
"""

from __future__ import annotations

import asyncio
import atexit
import shutil
import socket
import tempfile
from functools import cache
from pathlib import Path
from types import SimpleNamespace

from prometheus_client import CollectorRegistry, generate_latest

from maskwatch.alerts.mqtt.messages import MessageBuilder
from maskwatch.alerts.mqtt.topics import Topics
from maskwatch.clock import ManualClock
from maskwatch.domain import CameraStatus, Snooze
from maskwatch.errors import WireError
from maskwatch.ipc.control import StatusRequest, encode_line
from maskwatch.ipc.loop import EventLoop
from maskwatch.ipc.messages import (
    CommandResult,
    OccupancyCounted,
    Record,
    StatusChanged,
    ToRecorder,
    ToSupervisor,
)
from maskwatch.ipc.wire import TO_RECORDER, TO_SUPERVISOR, Reader
from maskwatch.ipc.wire import encode as encode_frame
from maskwatch.recorder.current_state import CurrentState
from maskwatch.recorder.intake import Intake
from maskwatch.recorder.unstored import UnstoredBuffer
from maskwatch.recorder.worker_connections import WorkerConnections, WorkerEvents
from maskwatch.secrets import Secret
from maskwatch.supervisor.camera_monitor import CameraMonitor
from maskwatch.supervisor.commands import CommandExecutor, CommandRouter
from maskwatch.supervisor.control_handler import ControlHandler
from maskwatch.supervisor.events import ChildEventRouter
from maskwatch.supervisor.metrics import SupervisorMetrics
from maskwatch.telemetry.meter import Meter
from tests.fakes.child_process import ChildrenHarness, config_with_cameras
from tests.fakes.samples import make_store

CAMERA = "door"


def _parse(decoder: object, data: bytes) -> list[tuple[object, bytes]]:
    reader: Reader[object] = Reader(decoder)  # type: ignore[arg-type]  # one of `maskwatch.ipc.wire`
    try:
        return reader.feed(data)
    except WireError:
        return []


class _Recorder:
    """The recorder from an authenticated worker to the database and to the messages for the broker."""

    def __init__(self) -> None:
        shared = Path("/dev/shm")
        folder = Path(tempfile.mkdtemp(dir=shared if shared.is_dir() else None))
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        clock = ManualClock()
        self.store = make_store(folder / "data", clock=clock)
        self.builder = MessageBuilder(Topics("maskwatch", "gate"), "gate")
        self.intake = Intake(UnstoredBuffer(), CurrentState(), run="run", clock=clock, meter=Meter())
        events = WorkerEvents(
            self.builder.occupancy,
            lambda taken, _: CommandResult(id=taken.command, ok=True),
            lambda _pid, _reason: None,
        )
        self.connections = WorkerConnections(
            folder / "socket",
            EventLoop(clock),
            self.intake,
            events,
            run="run",
            key=Secret("k"),
            clock=clock,
        )

    def receive(self, message: ToRecorder, blob: bytes) -> None:
        near, far = socket.socketpair()
        with far:
            worker = self.connections._connected(near, 1)
            self.connections._workers.append(worker)
            worker.camera = CAMERA
            try:
                self.connections._receive(worker, message, blob)
                self.intake.commit(self.store)
            except WireError:
                return
            finally:
                worker.connection.close()
        if isinstance(message, Record):
            self.builder.violation(message.change, stored=True, picture=None)
        if isinstance(message, OccupancyCounted):
            self.builder.occupancy(message.minute)


class _Supervisor(ChildrenHarness):
    """The supervisor from a worker's message to its metrics, its status and the recorder."""

    def __init__(self) -> None:
        super().__init__(config_with_cameras(CAMERA))
        self.metrics = SupervisorMetrics(self.clock)
        self.cameras = CameraMonitor(self.children, self.metrics, self.clock)
        commands = CommandRouter(
            CommandExecutor(self.children, lambda _: "", lambda done: done(True, "")),
            10.0,
            self.metrics.command_ended,
        )
        router = ChildEventRouter(self.children, self.cameras, commands, self.metrics, self.clock)
        for subscriber in (self.metrics, router, self.cameras):
            self.children.events.subscribe(subscriber)
        part = SimpleNamespace(path="", problem="", metrics_url="", complete=True)
        self.handler = ControlHandler(
            children=self.children,
            controller=self.controller,
            cameras=self.cameras,
            commands=commands,
            reloader=part,  # type: ignore[arg-type]  # only these attributes are read
            http=part,  # type: ignore[arg-type]
            start_up=part,  # type: ignore[arg-type]
            clock=self.clock,
        )
        self.registry = CollectorRegistry()
        self.registry.register(self.metrics.collector)
        self.builder = MessageBuilder(Topics("maskwatch", "gate"), "gate")
        self.controller.start_workers()
        self.advance(0.5)

    def receive_message(self, message: ToSupervisor) -> None:
        worker = self.children.workers[CAMERA]
        if worker.pid is None:
            self.advance(60.0)
        assert worker._run is not None
        worker._run.kill_cause = ""
        worker._handle(worker._run, message, self.clock.monotonic())
        worker.tick(self.clock.monotonic())
        self.cameras.update()
        self.metrics.publish()
        generate_latest(self.registry)
        encode_line(asyncio.run(self.handler.answer(StatusRequest(), "")))
        status: CameraStatus = self.cameras.statuses[CAMERA]
        encode_frame(StatusChanged(status=status))
        self.builder.camera_state(status)
        self.builder.snooze(Snooze(CAMERA))


@cache
def _recorder() -> _Recorder:
    return _Recorder()


@cache
def _supervisor() -> _Supervisor:
    return _Supervisor()


def to_recorder(data: bytes) -> None:
    for message, blob in _parse(TO_RECORDER, data):
        _recorder().receive(message, blob)  # type: ignore[arg-type]  # of the decoder's type


def to_supervisor(data: bytes) -> None:
    for message, _ in _parse(TO_SUPERVISOR, data):
        _supervisor().receive_message(message)  # type: ignore[arg-type]  # of the decoder's type
