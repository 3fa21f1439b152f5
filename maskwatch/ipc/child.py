"""The start of every child process, and its channel to the supervisor.

::

    def body(supervisor, configure):
        ...                                     # set-up of its own
        supervisor.send(Ready())
        while True:                             # in a selector, on supervisor.fileno()
            for message in supervisor.messages(): ...
            if supervisor.ended: os._exit(0)    # the supervisor has ended

    sys.exit(child.run(fd, "recorder", body))

The supervisor alone ends its children: by `Stop`, and by SIGKILL when that takes too long. So
SIGINT (a terminal sends it to the whole group) and SIGTERM are ignored here.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import TextIO

from maskwatch.errors import MaskwatchError, TemporaryError, WireError
from maskwatch.ipc.channel import Channel
from maskwatch.ipc.messages import Configure, ToChild, Unavailable
from maskwatch.ipc.parent_death import tie_to_parent
from maskwatch.ipc.peer_credentials import peer_of
from maskwatch.ipc.wire import HEADER_BYTES, TO_CHILD
from maskwatch.secrets import redact
from maskwatch.telemetry import logs
from maskwatch.temporary import is_temporary

_log = logging.getLogger(__name__)
_MAX_REASON = 300

# Only the supervisor may report to systemd; a child that could write there could fake its health.
_SUPERVISOR_VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID")


class SupervisorChannel(Channel[ToChild]):
    """A child's channel to the supervisor. Log lines go to `log_stream`; None is standard error."""

    def __init__(self, fd: int, process: str) -> None:
        sock = socket.socket(fileno=fd)
        self.process = process
        self.log_stream: TextIO | None = None
        super().__init__(sock, TO_CHILD)
        self.supervisor_pid, _ = peer_of(sock)

    def configure(self, timeout: float) -> Configure:
        """Wait for the first message, which must be `Configure`.

        No byte beyond it is read: later messages must wake the selector.

        Raises:
            WireError: another message came, none within `timeout` seconds, or the channel ended.
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

    def _bytes(self, max_bytes: int, deadline: float) -> bytes:
        """Return up to `max_bytes` bytes, at least one."""
        left = deadline - time.monotonic()
        if left > 0 and select.select([self], [], [], left)[0]:
            data = self.socket.recv(max_bytes)
            if data:
                return data
        raise WireError("the supervisor sent no configuration")

    def messages(self) -> list[ToChild]:
        """Return the messages that have arrived, without waiting; sets `ended` at the end.

        A new configuration's log settings are in force when this returns.
        """
        received = [message for message, _ in self.receive()]
        for message in received:
            if isinstance(message, Configure):
                self.set_up_log(message)
        return received

    def set_up_log(self, configure: Configure) -> None:
        logs.setup(configure.config.log, self.process, configure.camera, stream=self.log_stream)


def start(fd: int, process: str, *, timeout: float = 30.0) -> tuple[SupervisorChannel, Configure]:
    """Set up a child process; return its channel to the supervisor and its configuration.

    Removes the supervisor's own environment variables, sets signals and umask, waits for
    `Configure`, sets up logging, and makes this process end with its parent.

    Raises:
        WireError: the descriptor is not a channel to a supervisor, or no configuration came.
    """
    for name in _SUPERVISOR_VARIABLES:
        os.environ.pop(name, None)
    os.umask(0o077)
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    try:
        supervisor = SupervisorChannel(fd, process)
    except OSError as error:
        raise WireError(f"descriptor {fd} is not a channel to a supervisor: {error.strerror}") from None
    configure = supervisor.configure(timeout)
    supervisor.set_up_log(configure)
    tie_to_parent(supervisor.supervisor_pid)
    return supervisor, configure


def run(fd: int, process: str, body: Callable[[SupervisorChannel, Configure], object]) -> int:
    """Start a child process, run `body` in it, and return the exit code (see `maskwatch.errors`).

    What ended it for a cause that can pass is reported to the supervisor, which tries again.
    """
    supervisor = None
    try:
        supervisor, configure = start(fd, process)
        body(supervisor, configure)
    except (MaskwatchError, OSError, MemoryError, RuntimeError) as error:
        if is_temporary(error):
            reason = redact(str(error)) or type(error).__name__
            _log.error("cannot run now: %s", reason)
            if supervisor is not None:
                supervisor.send(Unavailable(reason=reason[:_MAX_REASON]))
            return TemporaryError.exit_code
        if not isinstance(error, MaskwatchError):
            raise
        _log.critical("%s", error)
        return error.exit_code
    return 0
