"""Runs code in the whole sandbox of a worker, whose network connections this process makes.

`python -m tests.fakes.brokered [--no-namespaces | --forked] TARGETS PORT` tries every attack there, as
the worker of a camera at this port of 127.0.0.1, and prints the error of each as JSON. With the first
option the system permits no namespaces, as Docker's default profile does not. With the second, the
zygote forks the worker.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
from pathlib import Path

from maskwatch.clock import SystemClock
from maskwatch.config.schema import CameraConfig
from maskwatch.sandbox import bpf
from maskwatch.sandbox.bpf import Argument, Rule
from maskwatch.sandbox.lockdown import lock_down_supervisor
from maskwatch.secrets import SecretUrl
from maskwatch.supervisor.network_broker import NetworkBroker
from maskwatch.supervisor.process import Process, start_program
from maskwatch.supervisor.timeouts import Timeouts
from maskwatch.supervisor.zygote import Zygote

_NEW_PID = 0x20000000
_ENTER = """
import socket, sys
from maskwatch.sandbox import enter as sandbox
from maskwatch.sandbox.seccomp import Network
import tests.fakes.attacks
broker = socket.socket(fileno=int(sys.argv[2]))
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
        self,
        code: str,
        camera: CameraConfig,
        recorder: Path,
        *,
        udp: bool = False,
        names: bool = False,
        forked: bool = False,
    ) -> None:
        self._forked = forked
        self.output = ""
        self.pid = 0
        self.misbehaved: list[str] = []
        program = _ENTER.format(udp=udp, names=names) + code
        asyncio.run(asyncio.wait_for(self._run(program, camera, recorder), 120))

    async def _run(self, program: str, camera: CameraConfig, recorder: Path) -> None:
        own, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        reader, log = os.pipe2(os.O_CLOEXEC)
        with peer:
            zygote = await _zygote() if self._forked else None
            start = start_program if zygote is None else zygote.fork
            process = start("tests.fakes.code", {program: peer.fileno()}, log)
        assert process is not None
        os.close(log)
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
        with os.fdopen(reader, encoding="utf-8") as output:
            self.output = (await asyncio.to_thread(output.read)).strip()
        broker.close()
        await _ended(process)
        if zygote is not None:
            zygote.stop()


async def _zygote() -> Zygote:
    """Return a zygote that is ready."""
    zygote = Zygote(asyncio.get_running_loop(), Timeouts(zygote_start=60.0), SystemClock(), _fail)
    while not zygote.ready:
        zygote.tick(wanted=True)
        await asyncio.sleep(0.01)
    return zygote


def _fail(reason: str) -> None:
    raise AssertionError(f"the zygote ended: {reason}")


async def _ended(process: Process) -> None:
    while process.poll() is None:
        await asyncio.sleep(0.01)


def main(targets: str, port: int, *, forked: bool) -> str:
    """Return the error of each attack, and the layers in force, as JSON."""
    lock_down_supervisor()
    camera = CameraConfig(name="a", url=SecretUrl(f"rtsp://127.0.0.1:{port}/"))
    code = _ATTEMPT.format(targets=targets)
    return BrokeredRun(code, camera, Path("/run/no.sock"), forked=forked).output


def permit_no_namespaces() -> None:
    """Have the kernel refuse all ways to a namespace that our code uses."""
    lock_down_supervisor()  # the filter needs no_new_privs
    refuse = bpf.errno_action(errno.EPERM)
    rules = {
        "unshare": Rule(refuse),
        "clone": Rule(refuse, ((Argument(0, (_NEW_PID,), _NEW_PID),),)),
    }
    bpf.install(bpf.compile_program(rules, known=bpf.ALLOW, unknown=bpf.ALLOW))


if __name__ == "__main__":
    *option, given_targets, given_port = sys.argv[1:]
    if option == ["--no-namespaces"]:
        permit_no_namespaces()
    sys.stdout.write(main(given_targets, int(given_port), forked=option == ["--forked"]))
