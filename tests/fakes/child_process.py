"""Child processes that a test plays itself, and configurations and heartbeats for them."""

from __future__ import annotations

import asyncio
import socket
from datetime import UTC, datetime

import msgspec

from maskwatch.clock import ManualClock
from maskwatch.config.schema import CameraConfig, Config, MqttConfig
from maskwatch.domain import CameraState
from maskwatch.ipc.channel import Channel
from maskwatch.ipc.messages import Configure, Heartbeat, ToChild, ToSupervisor
from maskwatch.ipc.wire import TO_CHILD, TO_SUPERVISOR
from maskwatch.secrets import Secret, SecretUrl
from maskwatch.supervisor.child import ChildEvents, ManagedChild
from maskwatch.supervisor.child_controller import ChildController
from maskwatch.supervisor.children import ChildProcesses
from maskwatch.supervisor.launcher import ProcessLauncher
from maskwatch.supervisor.process import Start
from maskwatch.supervisor.timeouts import Timeouts


class FakeProcess:
    """Has a real channel; ends when the test calls `end`, or when it is killed."""

    def __init__(self, module: str, configure: Configure) -> None:
        own, peer = socket.socketpair()
        self.module = module
        self.configure = configure
        self.channel: Channel[ToSupervisor] = Channel(own, TO_SUPERVISOR)
        self.peer: Channel[ToChild] = Channel(peer, TO_CHILD)
        self.broker_socket = None
        self.pid = 4242
        self.code: int | None = None
        self.killed = False

    def send(self, *messages: msgspec.Struct) -> None:
        """Send to the supervisor."""
        for message in messages:
            assert self.peer.send(message)

    def received(self) -> list[ToChild]:
        """Return what the supervisor has sent."""
        return [message for message, _ in self.peer.receive()]

    def end(self, code: int) -> None:
        self.code = code

    def poll(self) -> int | None:
        return self.code

    def kill(self) -> None:
        self.killed = True
        self.code = -9 if self.code is None else self.code

    def close(self) -> None:
        self.channel.close()
        self.peer.close()


class FakeSpawner:
    """Implements `Spawn` with fake processes; raises OSError while `refuses`."""

    def __init__(self) -> None:
        self.processes: list[FakeProcess] = []
        self.refuses = False

    def __call__(self, module: str, configure: Configure, start: Start) -> FakeProcess:  # noqa: ARG002 - no process
        if self.refuses:
            raise OSError(12, "Cannot allocate memory")
        self.processes.append(FakeProcess(module, configure))
        return self.processes[-1]

    @property
    def newest(self) -> FakeProcess:
        return self.processes[-1]

    def close(self) -> None:
        for process in self.processes:
            process.close()


class RecordedEvents(ChildEvents):
    """Records what happens to children."""

    def __init__(self) -> None:
        self.messages: list[ToSupervisor] = []
        self.ends: list[tuple[int, str]] = []
        self.removed_cameras: list[str] = []

    def received(self, child: ManagedChild, message: ToSupervisor) -> None:  # noqa: ARG002 - the base's
        self.messages.append(message)

    def ended(self, child: ManagedChild, code: int, reason: str) -> None:  # noqa: ARG002 - the base's
        self.ends.append((code, reason))

    def removed(self, child: ManagedChild) -> None:
        self.removed_cameras.append(child.kind.camera)


class ChildrenHarness:
    """`ChildProcesses` with fake processes, and a clock that the test advances."""

    def __init__(self, config: Config) -> None:
        self.spawner, self.events, self.clock = FakeSpawner(), RecordedEvents(), ManualClock()
        self.loop = asyncio.new_event_loop()
        launcher = ProcessLauncher(self.loop, self.clock, self.spawner)  # type: ignore[arg-type]  # fake processes
        self.children = ChildProcesses(config, launcher, Timeouts(), self.clock)
        self.controller = ChildController(self.children, Timeouts(), self.clock)
        self.children.events.subscribe(self.events)

    def advance(self, seconds: float) -> None:
        """Let time pass in steps of 0.1 s, as the main loop sees it."""
        for _ in range(int(seconds * 10)):
            self.clock.advance(0.1)
            self.children.reap()
            self.tick()

    def tick(self) -> None:
        self.controller.tick()
        self.children.tick()

    def receive(self, camera: str) -> None:
        """Have the supervisor read what the camera's worker has sent."""
        self.children.workers[camera].receive(self.clock.monotonic())

    def starts(self) -> list[str]:
        """Return the cameras in the order in which their workers were started."""
        cameras = [process.configure.camera for process in self.spawner.processes]
        return [camera for camera in cameras if camera]

    def close(self) -> None:
        self.loop.close()
        self.spawner.close()


def config_with_cameras(*names: str, **changes: object) -> Config:
    """Return a configuration whose cameras and broker have passwords."""
    cameras = tuple(
        CameraConfig(name=name, url=SecretUrl(f"rtsp://h/{name}"), password=Secret(f"{name}-password"))
        for name in names
    )
    mqtt = MqttConfig(password=Secret("broker-password"))
    return msgspec.structs.replace(Config(cameras=cameras, mqtt=mqtt), **changes)  # type: ignore[arg-type]  # fields of Config


def heartbeat(
    state: CameraState = CameraState.LIVE,
    *,
    frames: int = 0,
    leave_by: float | None = None,
    attempt: int = 0,
    reason: str = "",
) -> Heartbeat:
    """Return a worker's heartbeat."""
    return Heartbeat(
        state=state,
        reason=reason,
        since=datetime(2026, 6, 1, 12, tzinfo=UTC),
        leave_by=leave_by,
        frames=frames,
        last_frame=None,
        attempt=attempt,
    )
