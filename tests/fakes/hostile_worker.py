"""The real sandboxed worker, compromised: it runs the attack that a file names.

`python -m tests.fakes.hostile_worker --fd N`, started by the supervisor instead of the worker. Each line
of the file `MASKWATCH_TEST_ATTACK` names a method of `HostileLoop`. The next worker removes the first
line before it is sandboxed, runs that attack instead of the camera loop, and continues its heartbeats.
After the last line the file is removed: the next worker is sound.
"""

from __future__ import annotations

import json
import logging
import mmap
import os
import random
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from maskwatch.clock import Clock
from maskwatch.config.schema import CameraConfig, Config
from maskwatch.domain import CameraState
from maskwatch.ipc.control import RunCommand, encode_line
from maskwatch.ipc.messages import Heartbeat, Metrics, Record, Recorded, WorkerHello
from maskwatch.ipc.wire import encode
from maskwatch.telemetry import catalogue
from maskwatch.telemetry.meter import MetricsSnapshot, Sample
from maskwatch.worker import main
from maskwatch.worker.connection import WorkerConnection
from tests.fakes.attacks import attempt_all
from tests.fakes.attacks.calls import Targets
from tests.fakes.hostile_json import hostile_json
from tests.fakes.hostile_peers import frame
from tests.fakes.samples import change

OTHER = os.environ.get("MASKWATCH_TEST_OTHER", "good")  # the camera that it impersonates
STOLEN = 77  # index of a violation of that camera
FLOOD = 1000
_MANY_MEGABYTES = 4096
UNBROKERED = {"control_socket_and_end"}
_NESTED = frame(hostile_json("nested_in_an_unknown_field", ""))  # of 60 kB


class HostileLoop:
    """Replaces `CameraLoop`."""

    attack = ""

    def __init__(
        self,
        config: Config,  # noqa: ARG002 - the signature of `CameraLoop`
        camera: CameraConfig,
        connection: WorkerConnection,
        clock: Clock,  # noqa: ARG002
        **_: object,
    ) -> None:
        self._camera = camera.name
        self._connection = connection
        self._kept: list[socket.socket] = []
        self._rng = random.Random(7)

    def run(self) -> None:
        getattr(self, self.attack)()
        while True:  # the connection's thread continues its heartbeats
            time.sleep(1)

    # --- to the supervisor -------------------------------------------------------------------------

    def _send_up(self, data: bytes) -> None:
        """Write to the supervisor as fast as it reads, between any two messages."""
        line = self._connection._supervisor
        with line._lock:
            line.socket.setblocking(True)
            line.socket.sendall(data)
            line.socket.setblocking(False)

    def garbage(self) -> None:
        self._send_up(self._rng.randbytes(100_000))

    def oversize(self) -> None:
        self._send_up(b"\xff\xff\xff\xf0\x00\x00\x00\x00" + b" " * 65536)

    def wrong_type(self) -> None:
        self._send_up(encode(self._record()))

    def nested_json(self) -> None:
        self._send_up(_NESTED)

    def nested_json_and_end(self) -> None:
        """End at once, so that the supervisor reads the message as it reaps the process."""
        self._send_up(_NESTED)
        os._exit(0)

    def huge_frames(self) -> None:
        self._send_up(_altered(self._heartbeat(), frames=10**400))

    def huge_counts(self) -> None:
        name, metric = next(
            (name, metric)
            for name, metric in catalogue.METRICS.items()
            if metric.buckets and metric.owner == "worker"
        )
        counts = [10**400] * (len(metric.buckets) + 1)
        histogram = [name, [["camera", self._camera]], metric.buckets, counts, 1.0]
        self._send_up(_frame({"type": "metrics", "snapshot": {"histograms": [histogram]}}))

    def odd_times(self) -> None:
        self._send_up(
            _altered(self._heartbeat(), since="0001-01-01T00:00:00", last_frame="0001-01-01T00:00:00")
        )

    def forbidden_message(self) -> None:
        snooze = {"camera": OTHER, "until": "2099-01-01T00:00:00Z"}
        self._send_up(_frame({"type": "snooze_changed", "snooze": snooze}))

    def incomplete_message(self) -> None:
        self._connection._supervisor._lock.acquire()
        self._connection._supervisor.socket.setblocking(True)
        self._connection._supervisor.socket.sendall(b"\x00\x00\xff\x00\x00\x00\x00\x00{")

    def flood_of_heartbeats(self) -> None:
        states = [CameraState.LIVE, CameraState.BACKOFF]
        flips = b"".join(encode(self._heartbeat(states[i % 2], f"reason {i}")) for i in range(1000))
        while True:
            self._send_up(flips)

    def flood_of_labels(self) -> None:
        for turn in range(30):
            samples = tuple(
                Sample(catalogue.VIOLATIONS, self._labels(f"{turn} {index}"), 1.0)
                for index in range(5000)
            )
            self._send_up(encode(Metrics(snapshot=MetricsSnapshot(samples))))
            time.sleep(0.05)

    def _labels(self, zone: str) -> tuple[tuple[str, str], ...]:
        return (("camera", self._camera), ("verdict", "no_mask"), ("zone", zone))

    def _heartbeat(self, state: CameraState = CameraState.LIVE, reason: str = "") -> Heartbeat:
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

    def garbage_to_recorder(self) -> None:
        self._keep(self._line(self._camera), self._rng.randbytes(100_000))

    def nested_json_to_recorder(self) -> None:
        line = socket.socket(socket.AF_UNIX)
        line.connect(self._connection.recorder._path)
        self._keep(line, _NESTED)

    def huge_track_to_recorder(self) -> None:
        self._keep(self._line(self._camera), _altered_change(self._record(), track=10**400))

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

    def incomplete_picture(self) -> None:
        self._keep(self._line(self._camera), b"\x00\x00\x00\x02\x00\xff\xff\xff{}" + b"x" * 200_000)

    def many_connections(self) -> None:
        self._kept = [socket.socket(socket.AF_UNIX) for _ in range(100)]
        for line in self._kept:
            line.connect(self._connection.recorder._path)

    def invalid_picture(self) -> None:
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
            return  # the recorder closed the connection

    # --- to the control socket ---------------------------------------------------------------------

    def control_socket(self) -> None:
        line = socket.socket(socket.AF_UNIX)
        line.connect(str(Path(self._connection.recorder._path).with_name("control.sock")))
        line.sendall(encode_line(RunCommand(verb="disable", target=OTHER)))
        self._kept = [line]

    def system_calls(self) -> None:
        """Try every attack on the system."""
        targets = msgspec.json.decode(os.environ["MASKWATCH_TEST_TARGETS"], type=Targets)
        attempt_all(targets)

    def networks(self) -> None:
        """Try every way out, and report in the log what was refused."""
        targets = msgspec.json.decode(os.environ["MASKWATCH_TEST_TARGETS"], type=Targets)
        found = {**attempt_all(targets, "network/"), **attempt_all(targets, "local/")}
        logging.getLogger("maskwatch.worker").info("attacks: %s", json.dumps(found))

    def memory(self) -> None:
        """Take memory, untouched, until it is refused, report how much it was, and end."""
        taken: list[mmap.mmap] = []
        try:
            while len(taken) < _MANY_MEGABYTES:
                taken.append(mmap.mmap(-1, 1 << 20, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
        except OSError:
            logging.getLogger("maskwatch.worker").info("refused more than %d MiB", len(taken))
        time.sleep(0.5)  # the log passes
        os._exit(0)

    def forged_log(self) -> None:
        """Write a line in the name of the supervisor, and try to read what others write."""
        os.write(1, b"2026-11-27T15:04:12.353Z INFO    supervisor: command disable good done by=root\n")

    def control_socket_and_end(self) -> None:
        """End before the supervisor, which the test stops meanwhile, reads the request."""
        time.sleep(3)
        self.control_socket()
        os._exit(0)


ATTACKS = tuple(
    name
    for name, member in vars(HostileLoop).items()
    if callable(member) and name != "run" and not name.startswith("_")
)


def _frame(content: object) -> bytes:
    return frame(json.dumps(content).encode())


def _altered(message: msgspec.Struct, **fields: object) -> bytes:
    """Return the frame of a message with fields that its type does not allow."""
    content = msgspec.json.decode(encode(message)[8:])
    return _frame({**content, **fields})


def _altered_change(record: Record, **fields: object) -> bytes:
    content = msgspec.json.decode(encode(record)[8:])
    content["change"]["violation"].update(fields)
    return _frame(content)


def _without_broker(arguments: list[str]) -> list[str]:
    """Return the arguments as on a kernel on which no supervisor can make a worker's connections."""
    return arguments[: arguments.index("--broker")] if HostileLoop.attack in UNBROKERED else arguments


def _take_attack() -> str:
    """Return the name of the first attack in the file, empty without a file, and remove it."""
    path = Path(os.environ["MASKWATCH_TEST_ATTACK"])
    try:
        attack, *others = path.read_text().split()
        path.unlink()
        if others:
            path.write_text("\n".join(others))
    except OSError:
        return ""
    return attack


def run(on_recorded: Callable[[Recorded], object] = lambda _: None) -> int:
    """Be the worker, hostile if the file names an attack; return its exit code."""
    HostileLoop.attack = _take_attack()
    if HostileLoop.attack:
        main.CameraLoop = HostileLoop  # type: ignore[assignment, misc]
    return main.main(_without_broker(sys.argv[1:]), on_recorded=on_recorded)


if __name__ == "__main__":
    code = run()
    sys.stderr.flush()
    os._exit(code)
