"""The real worker, locked in, but taken over once: it does what a file says.

`python -m tests.fakes.hostile_worker --fd N`, started by the supervisor in the worker's place. The file
that `MASKWATCH_TEST_MISCHIEF` names holds a deed; the next worker to start takes it away before it is
locked in, does the deed in place of watching, and then goes on saying that all is well. The one after
it finds no file, and is honest.
"""

from __future__ import annotations

import os
import random
import socket
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from maskwatch.clock import Clock
from maskwatch.config.schema import CameraConfig, Config
from maskwatch.domain import CameraState
from maskwatch.ipc.control import RunCommand, encode_line
from maskwatch.ipc.messages import Heartbeat, Metrics, Record, WorkerHello
from maskwatch.ipc.wire import encode
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import MetricsSnapshot, Sample
from maskwatch.worker import main
from maskwatch.worker.connection import WorkerConnection
from tests.fakes.samples import change

OTHER = "good"  # the camera in whose name it tries to speak
STOLEN = 77  # index of the violation of that camera that it knows
FLOOD = 1000


class Mischief:
    """Takes the place of `CameraLoop`."""

    deed = ""

    def __init__(
        self,
        config: Config,  # noqa: ARG002 - the real one's signature
        camera: CameraConfig,
        connection: WorkerConnection,
        clock: Clock,  # noqa: ARG002
        *,
        attempt: int,  # noqa: ARG002
        delays: object,  # noqa: ARG002
    ) -> None:
        self._camera = camera.name
        self._connection = connection
        self._kept: list[socket.socket] = []
        self._rng = random.Random(7)

    def run(self) -> None:
        getattr(self, self.deed)()
        while True:  # the connection's thread goes on sending heartbeats
            time.sleep(1)

    # --- to the supervisor -------------------------------------------------------------------------

    def _up(self, data: bytes) -> None:
        """Write to the supervisor as fast as it reads, whatever else is said there."""
        line = self._connection._supervisor
        with line._lock:
            line.socket.setblocking(True)
            line.socket.sendall(data)
            line.socket.setblocking(False)

    def garbage(self) -> None:
        self._up(self._rng.randbytes(100_000))

    def oversize(self) -> None:
        self._up(b"\xff\xff\xff\xf0\x00\x00\x00\x00" + b" " * 65536)

    def wrong_type(self) -> None:
        self._up(encode(self._record()))

    def odd_times(self) -> None:
        self._up(_altered(self._beat(), since="0001-01-01T00:00:00", last_frame="0001-01-01T00:00:00"))

    def not_its_to_say(self) -> None:
        snooze = {"camera": OTHER, "until": "2099-01-01T00:00:00Z"}
        self._up(_frame({"type": "snooze_changed", "snooze": snooze}))

    def half_a_message(self) -> None:
        self._connection._supervisor._lock.acquire()
        self._connection._supervisor.socket.setblocking(True)
        self._connection._supervisor.socket.sendall(b"\x00\x00\xff\x00\x00\x00\x00\x00{")

    def flood_of_beats(self) -> None:
        states = [CameraState.LIVE, CameraState.BACKOFF]
        flips = b"".join(encode(self._beat(states[i % 2], f"reason {i}")) for i in range(1000))
        while True:
            self._up(flips)

    def flood_of_labels(self) -> None:
        for turn in range(30):
            samples = tuple(
                Sample(catalogue.VIOLATIONS, self._labels(f"{turn} {index}"), 1.0)
                for index in range(5000)
            )
            self._up(encode(Metrics(snapshot=MetricsSnapshot(samples))))
            time.sleep(0.05)

    def _labels(self, zone: str) -> tuple[tuple[str, str], ...]:
        return (("camera", self._camera), ("verdict", "no_mask"), ("zone", zone))

    def _beat(self, state: CameraState = CameraState.LIVE, reason: str = "") -> Heartbeat:
        now = datetime.now(UTC)
        return Heartbeat(
            state=state, reason=reason, since=now, leave_by=None, frames=1, last_frame=now, attempt=0
        )

    # --- to the recorder ---------------------------------------------------------------------------

    def _line(self, camera: str, token: str | None = None) -> socket.socket:
        line = socket.socket(socket.AF_UNIX)
        line.connect(self._connection.recorder._path)
        shown = self._connection.recorder._hello.token if token is None else token
        line.sendall(encode(WorkerHello(camera=camera, token=shown)))
        return line

    def _record(self, index: int = 1, camera: str = "") -> Record:
        return Record(change=change(index, camera=camera or self._camera, started=datetime.now(UTC)))

    def rubbish(self) -> None:
        self._keep(self._line(self._camera), self._rng.randbytes(100_000))

    def oversize_to_recorder(self) -> None:
        self._keep(self._line(self._camera), b"\x00\x00\x00\x10\xff\xff\xff\xff" + b"x" * 65536)

    def other_s_name(self) -> None:
        self._keep(self._line(OTHER), encode(self._record(camera=OTHER)))

    def other_s_camera(self) -> None:
        self._keep(self._line(self._camera), encode(self._record(camera=OTHER)))

    def other_s_violation(self) -> None:
        stolen = self._record(STOLEN).change
        self._keep(self._line(self._camera), encode(Record(change=replace(stolen, number=3))))

    def path_in_a_name(self) -> None:
        self._keep(self._line(self._camera), _altered_change(self._record(), zone="../../../tmp/x"))

    def half_a_picture(self) -> None:
        self._keep(self._line(self._camera), b"\x00\x00\x00\x02\x00\xff\xff\xff{}" + b"x" * 200_000)

    def many_connections(self) -> None:
        self._kept = [socket.socket(socket.AF_UNIX) for _ in range(100)]
        for line in self._kept:
            line.connect(self._connection.recorder._path)

    def no_picture(self) -> None:
        self._keep(self._line(self._camera), encode(self._record(2), b"<svg onload=alert(1)>" * 100))

    def flood_of_changes(self) -> None:
        line = self._line(self._camera)
        for index in range(100, 100 + FLOOD):
            line.sendall(encode(self._record(index)))
        self._kept = [line]

    def _keep(self, line: socket.socket, data: bytes) -> None:
        self._kept = [line]
        try:
            line.sendall(data)
        except OSError:
            return  # it had enough of us

    # --- to the control socket ---------------------------------------------------------------------

    def control_socket(self) -> None:
        line = socket.socket(socket.AF_UNIX)
        line.connect(str(Path(self._connection.recorder._path).with_name("control.sock")))
        line.sendall(encode_line(RunCommand(verb="disable", target=OTHER)))
        self._kept = [line]


def _frame(content: object) -> bytes:
    text = msgspec.json.encode(content)
    return len(text).to_bytes(4, "big") + bytes(4) + text


def _altered(message: msgspec.Struct, **fields: object) -> bytes:
    """Return the frame of a message with fields that it could not be made with."""
    content = msgspec.json.decode(encode(message)[8:])
    return _frame({**content, **fields})


def _altered_change(record: Record, **fields: object) -> bytes:
    content = msgspec.json.decode(encode(record)[8:])
    content["change"]["violation"].update(fields)
    return _frame(content)


def _deed() -> str:
    """Return what to do, and take it away."""
    path = Path(os.environ["MASKWATCH_TEST_MISCHIEF"])
    try:
        deed = path.read_text().strip()
        path.unlink()
    except OSError:
        return ""
    return deed


if __name__ == "__main__":
    Mischief.deed = _deed()
    if Mischief.deed:
        main.CameraLoop = Mischief  # type: ignore[assignment, misc]
    code = main.main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)
