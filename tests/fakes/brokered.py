"""Runs code in the sandbox of a worker whose network connections this process makes."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

from maskwatch.clock import SystemClock
from maskwatch.config.schema import CameraConfig
from maskwatch.supervisor.network_broker import NetworkBroker
from tests.fakes.service_user import service_environment

_ENTER = """
import socket, sys
from maskwatch.sandbox import enter as sandbox
from maskwatch.sandbox.seccomp import Network
import tests.fakes.attacks
broker = socket.socket(fileno=int(sys.argv[1]))
network = Network(tcp=True, udp={udp}, names={names}, local=True)
layers = sandbox.enter([], [], network=network, broker=broker)
"""


class BrokeredRun:
    """What a sandboxed program printed, and what the broker reported about it."""

    def __init__(
        self, code: str, camera: CameraConfig, recorder: Path, *, udp: bool = False, names: bool = False
    ) -> None:
        self.output = ""
        self.misbehaved: list[str] = []
        program = _ENTER.format(udp=udp, names=names) + code
        asyncio.run(asyncio.wait_for(self._run(program, camera, recorder), 120))

    async def _run(self, program: str, camera: CameraConfig, recorder: Path) -> None:
        own, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with peer:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                program,
                str(peer.fileno()),
                pass_fds=(peer.fileno(),),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=service_environment(),
            )
        broker = NetworkBroker(
            process.pid,
            own,
            camera,
            str(recorder),
            self.misbehaved.append,
            loop=asyncio.get_running_loop(),
            clock=SystemClock(),
        )
        output, _ = await process.communicate()
        broker.close()
        self.output = output.decode().strip()
