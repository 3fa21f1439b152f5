"""A real MQTT broker (3.1.1) that pip installs, so that the demo needs no other installation.

It is amqtt (extra: demo), on the loopback address, in a process of its own, so that it neither
slows its parent nor logs there. It is for demonstrations; a service needs Mosquitto or another
broker: see docs/mqtt.md.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import select
import signal
import socket
import subprocess
import sys
from types import TracebackType
from typing import Self

from maskwatch.errors import DependencyError, MaskwatchError

_READY = "ready"


def free_port() -> int:
    """Return a TCP port of the loopback address that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def require_broker() -> None:
    """Raise DependencyError if the library of the embedded broker is not installed."""
    if importlib.util.find_spec("amqtt") is None:
        raise DependencyError("the embedded broker needs amqtt: pip install 'maskwatch[demo]'")


class EmbeddedBroker:
    """A broker on 127.0.0.1 that runs within its context.

    Raises:
        DependencyError: amqtt is not installed.
        MaskwatchError: the broker did not start.
    """

    def __init__(self, port: int | None = None) -> None:
        self.port = free_port() if port is None else port

    def __enter__(self) -> Self:
        require_broker()
        command = [sys.executable, "-W", "ignore", "-m", "maskwatch.lab.broker", str(self.port)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        answer = self._read_line(10)
        if answer != _READY:
            self.__exit__(None, None, None)
            raise MaskwatchError(f"the broker did not start: {answer or 'no answer'}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()  # the child ends at the end of its input
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _read_line(self, timeout: float) -> str:
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], timeout)[0]:
            return ""
        return self._process.stdout.readline().strip()


async def _serve(port: int) -> None:
    from amqtt.broker import Broker  # noqa: PLC0415 - an extra, needed in the child only

    listener = {"type": "tcp", "bind": f"127.0.0.1:{port}"}
    plugins = {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}}
    broker = Broker({"listeners": {"default": listener}, "plugins": plugins})
    await broker.start()
    _write_line(_READY)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(broker.shutdown(), 3)


def _write_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _child(port: int) -> int:
    """Serve until standard input ends; write `ready`, or one line with the reason of a failure."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # at Ctrl-C the parent closes standard input
    logging.disable(logging.CRITICAL)
    from amqtt.errors import BrokerError  # noqa: PLC0415 - an extra, needed in the child only

    try:
        asyncio.run(_serve(port))
    except (OSError, BrokerError) as error:
        _write_line(str(error).replace("\n", " "))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_child(int(sys.argv[1])))
