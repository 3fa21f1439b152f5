"""What every child process does first, and its end of the line to the supervisor.

::

    uplink, configure = child.start(fd, "recorder")
    ...                                     # set-up of its own
    uplink.send(Ready())
    while True:                             # in a selector, on uplink.fileno()
        for message in uplink.messages(): ...
        if uplink.ended: os._exit(0)        # the supervisor is gone

The supervisor alone ends its children: by `Stop`, and by SIGKILL when that takes too long. So
SIGINT (a terminal sends it to the whole group) and SIGTERM are ignored here.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import struct
import time
from typing import TextIO

from maskwatch.errors import WireError
from maskwatch.ipc.channel import Channel
from maskwatch.ipc.messages import Configure, ToChild
from maskwatch.ipc.wire import HEADER_BYTES, TO_CHILD
from maskwatch.telemetry import logs

__all__ = ["SupervisorChannel", "start", "tie_to_parent"]

_PR_SET_PDEATHSIG = 1
_CREDENTIALS = struct.Struct("3i")
# systemd must hear the supervisor only; a child that could write there could feign its health.
_NOT_FOR_CHILDREN = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID")


class SupervisorChannel(Channel[ToChild]):
    """A child's end of the line to the supervisor.

    `log_stream` is where log lines go; None is standard error.
    """

    def __init__(self, fd: int, process: str) -> None:
        sock = socket.socket(fileno=fd)
        self.process = process
        self.log_stream: TextIO | None = None
        super().__init__(sock, TO_CHILD)
        self.supervisor_pid = _peer_pid(sock)

    def configure(self, timeout: float) -> Configure:
        """Wait for the first message, which must be `Configure`.

        Not a byte more than that is read: what follows must wake the selector.

        Raises:
            WireError: something else came, or nothing within `timeout` seconds, or the end.

        """
        deadline = time.monotonic() + timeout
        messages: list[ToChild] = []
        missing = HEADER_BYTES
        while not messages:
            data = self._bytes(missing, deadline)
            messages = [message for message, _ in self.reader.feed(data)]
            missing = self.reader.missing
        if not isinstance(messages[0], Configure):
            raise WireError(f"expected configure first, got {type(messages[0]).__name__}")
        return messages[0]

    def _bytes(self, most: int, deadline: float) -> bytes:
        """Return up to `most` bytes, at least one."""
        left = deadline - time.monotonic()
        if left > 0 and select.select([self], [], [], left)[0]:
            data = self.socket.recv(most)
            if data:
                return data
        raise WireError("the supervisor did not say what to do")

    def messages(self) -> list[ToChild]:
        """Return what the supervisor has said, without waiting; sets `ended` when it is gone.

        A new configuration's log settings are in force when this returns.
        """
        heard = [message for message, _ in self.receive()]
        for message in heard:
            if isinstance(message, Configure):
                self.set_up_log(message)
        return heard

    def set_up_log(self, configure: Configure) -> None:
        """Log as a configuration says."""
        logs.setup(configure.config.log, self.process, configure.camera, stream=self.log_stream)


def start(fd: int, process: str, *, timeout: float = 30.0) -> tuple[SupervisorChannel, Configure]:
    """Do what every child does first; return its line to the supervisor and its configuration.

    Takes away the environment that is the supervisor's alone, sets signals and umask, waits for
    `Configure`, sets up logging as that says, and ties this process's life to its parent's.

    Args:
        fd: the inherited descriptor of the line.
        process: `worker` or `recorder`, for log lines.
        timeout: seconds to wait for the configuration.

    Raises:
        WireError: the descriptor is no such line, or no configuration came.

    """
    for name in _NOT_FOR_CHILDREN:
        os.environ.pop(name, None)
    os.umask(0o077)
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    try:
        uplink = SupervisorChannel(fd, process)
    except OSError as error:
        raise WireError(f"descriptor {fd} is not a line to a supervisor: {error.strerror}") from None
    configure = uplink.configure(timeout)
    uplink.set_up_log(configure)
    tie_to_parent(uplink.supervisor_pid)
    return uplink, configure


def tie_to_parent(parent: int) -> None:
    """Have the kernel kill this process when the process `parent` dies; end if it is dead already.

    Must come after anything that changes credentials, which would undo it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    # It may have died between our start and the call above, which then came too late.
    if os.getppid() != parent:
        os._exit(0)


def _peer_pid(sock: socket.socket) -> int:
    """Return the pid of the process that made this pair of sockets."""
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, _, _ = _CREDENTIALS.unpack(raw)
    return int(pid)
