"""Runs code in the whole sandbox of a worker, whose network connections this process makes.

`python -m tests.fakes.brokered [--no-namespaces] TARGETS PORT` tries every attack there, as the worker
of a camera at this port of 127.0.0.1, and prints the error of each as JSON. With the option the system
permits no namespaces, as Docker's default profile does not.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import subprocess
import sys
from pathlib import Path

from maskwatch.clock import SystemClock
from maskwatch.config.schema import CameraConfig
from maskwatch.sandbox import bpf
from maskwatch.sandbox.bpf import Rule
from maskwatch.sandbox.lockdown import lock_down_supervisor
from maskwatch.secrets import SecretUrl
from maskwatch.supervisor.network_broker import NetworkBroker
from maskwatch.supervisor.process import ModuleProcess

_ENTER = """
import socket, sys
from maskwatch.sandbox import enter as sandbox
from maskwatch.sandbox.seccomp import Network
import tests.fakes.attacks
broker = socket.socket(fileno=int(sys.argv[1]))
network = Network(tcp=True, udp={udp}, names={names}, local=True)
layers = sandbox.enter([], [], network=network, broker=broker)
"""
_ATTEMPT = """
import json, msgspec
from tests.fakes.attacks import attempt_all, counts
from tests.fakes.attacks.calls import Targets
targets = msgspec.json.decode({targets!r}, type=Targets)
errors = attempt_all(targets)
print(json.dumps({{"layers": layers, **counts(), **errors}}))
"""


class BrokeredRun:
    """What a sandboxed program printed, and what the broker reported about it.

    Attributes:
        output: everything that it printed.
        pid: its process id.
        misbehaved: the reasons for which the daemon would kill it.
    """

    def __init__(
        self, code: str, camera: CameraConfig, recorder: Path, *, udp: bool = False, names: bool = False
    ) -> None:
        self.output = ""
        self.pid = 0
        self.misbehaved: list[str] = []
        program = _ENTER.format(udp=udp, names=names) + code
        asyncio.run(asyncio.wait_for(self._run(program, camera, recorder), 120))

    async def _run(self, program: str, camera: CameraConfig, recorder: Path) -> None:
        own, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with peer:
            fd = peer.fileno()
            process = ModuleProcess(
                "tests.fakes.code", str(fd), program, fds=(fd,), stderr=subprocess.PIPE, isolated=True
            )
        self.pid = process.pid
        broker = NetworkBroker(
            process.pid,
            own,
            camera,
            str(recorder),
            self.misbehaved.append,
            loop=asyncio.get_running_loop(),
            clock=SystemClock(),
        )
        _, output = await asyncio.to_thread(process.communicate)
        broker.close()
        self.output = output.decode().strip()


def main(targets: str, port: int) -> str:
    """Return the error of each attack, and the layers in force, as JSON."""
    lock_down_supervisor()
    camera = CameraConfig(name="a", url=SecretUrl(f"rtsp://127.0.0.1:{port}/"))
    return BrokeredRun(_ATTEMPT.format(targets=targets), camera, Path("/run/no.sock")).output


def _permit_no_namespaces() -> None:
    lock_down_supervisor()  # the filter needs no_new_privs
    rules = {"unshare": Rule(bpf.errno_action(errno.EPERM))}
    bpf.install(bpf.compile_program(rules, known=bpf.ALLOW, unknown=bpf.ALLOW))


if __name__ == "__main__":
    *option, given_targets, given_port = sys.argv[1:]
    if option:
        _permit_no_namespaces()
    sys.stdout.write(main(given_targets, int(given_port)))
