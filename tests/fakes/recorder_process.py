"""A real recorder process with a fake supervisor and fake workers."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from maskwatch.config.schema import CameraConfig, Config, MetricsConfig, MqttConfig, StoreConfig
from maskwatch.domain import Change
from maskwatch.ipc.channel import Channel
from maskwatch.ipc.messages import Configure, Ready, Record, Recorded, Stop, ToSupervisor, WorkerHello
from maskwatch.ipc.wire import FROM_RECORDER, TO_SUPERVISOR
from maskwatch.ipc.worker_tokens import worker_token
from maskwatch.secrets import Secret, SecretUrl
from tests.fakes.waiting import SLACK, wait_until

KEY = Secret("the key to all tokens")
ROOT = Path(__file__).resolve().parents[2]


class FakeWorker:
    """A connection to the recorder as the worker of one camera.

    Attributes:
        acknowledged: the acknowledgements, in the order of their arrival.

    """

    def __init__(self, path: Path, camera: str = "door") -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(str(path))
        except OSError:
            sock.close()
            raise
        self.channel = Channel(sock, FROM_RECORDER)
        self.channel.send(WorkerHello(camera=camera, token=worker_token(KEY, camera).reveal()))
        self.acknowledged: list[Recorded] = []

    def send(self, change: Change, picture: bytes = b"") -> None:
        self.channel.send(Record(change=change), picture)

    def receive(self, seconds: float = 0.05) -> None:
        """Receive acknowledgements for up to `seconds`."""
        self.channel.flush()
        if not self.channel.ended:
            select.select([self.channel], [], [], seconds)
            self.acknowledged += [message for message, _ in self.channel.receive()]

    def wait(self, count: int, seconds: float = 20.0) -> list[Recorded]:
        """Wait until `count` acknowledgements have arrived; return them."""

        def arrived() -> bool:
            assert not self.channel.ended, "the recorder closed the connection"
            self.receive()
            return len(self.acknowledged) >= count

        if len(self.acknowledged) < count:
            wait_until(arrived, seconds, f"{count} acknowledgements")
        return self.acknowledged

    def close(self) -> None:
        self.channel.close()


class RecorderProcess:
    """A real recorder, the supervisor's end of its channel, and a folder for its files."""

    def __init__(
        self, folder: Path, *, prefix: Sequence[str] = (), reserve: int = 0, data: Path | None = None
    ) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.data = data or folder / "data"
        self.socket = folder / "run" / "recorder.sock"
        self._prefix = prefix
        self._config = Config(
            data_dir=str(self.data),
            runtime_dir=str(folder / "run"),
            cameras=(CameraConfig(name="door", url=SecretUrl("rtsp://camera.invalid/")),),
            mqtt=MqttConfig(enabled=False),
            metrics=MetricsConfig(enabled=False),
            store=StoreConfig(reserve_megabytes=reserve),
        )
        self.messages: list[ToSupervisor] = []
        self._workers: list[FakeWorker] = []
        self.supervisor: Channel[ToSupervisor] | None = None
        self.start()

    def start(self) -> None:
        """Start it and send its configuration."""
        own, child = socket.socketpair()
        command = [sys.executable, "-m", "tests.fakes.file_sink", str(self.folder)]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [*self._prefix, *command, "--fd", str(child.fileno())],
                pass_fds=[child.fileno()],
                cwd=ROOT,
                stderr=log,
            )
        child.close()
        if self.supervisor is not None:
            self.supervisor.close()
        self.supervisor = Channel(own, TO_SUPERVISOR)
        self.supervisor.send(Configure(config=self._config, recorder=str(self.socket), token=KEY))

    def ready(self) -> Self:
        """Wait until it is ready."""
        self.await_message(Ready)
        return self

    def await_message(self, kind: type[msgspec.Struct], seconds: float = 30.0) -> ToSupervisor:
        """Wait for the next message of this kind; earlier ones stay in `messages`."""
        deadline = time.monotonic() + seconds * SLACK
        while True:
            for index, message in enumerate(self.messages):
                if isinstance(message, kind):
                    return self.messages.pop(index)
            assert time.monotonic() < deadline, f"no {kind.__name__}: {self.log}"
            assert not self.supervisor.ended, f"the recorder ended: {self.log}"
            select.select([self.supervisor], [], [], 0.1)
            self.messages += [message for message, _ in self.supervisor.receive()]

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def taken(self) -> list[str]:
        """The alert ids that the sink took, in order."""
        path = self.folder / "taken"
        return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []

    def set_behaviour(self, behaviour: str) -> None:
        """Set the behaviour of the sink: see `tests.fakes.file_sink`."""
        new = self.folder / "behaviour.new"
        new.write_text(behaviour)
        new.rename(self.folder / "behaviour")

    def worker(self, camera: str = "door") -> FakeWorker:
        worker = FakeWorker(self.socket, camera)
        self._workers.append(worker)
        return worker

    def kill(self) -> None:
        """Send SIGKILL and wait for the end."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(20)
        self.supervisor.close()

    def restart(self) -> None:
        self.messages.clear()
        self.start()
        self.ready()

    def stop(self, grace: float = 5.0) -> int:
        """Send a stop message; return the exit code."""
        self.supervisor.send(Stop(grace=grace))
        code = self.process.wait((grace + 10) * SLACK)
        self.supervisor.close()
        return code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait(20)
        self.supervisor.close()
        for worker in self._workers:
            worker.close()
