"""One child process: its start, its channel to the supervisor, and its end."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack, suppress
from functools import partial
from io import FileIO
from typing import Protocol

from maskwatch.errors import SourceRedirectedError, SourceTooLargeError
from maskwatch.ipc.channel import Channel
from maskwatch.ipc.messages import Configure, ToSupervisor
from maskwatch.ipc.parent_death import tie_to_parent
from maskwatch.ipc.wire import TO_SUPERVISOR
from maskwatch.sandbox.namespaces import REPORT, replace_by_isolated
from maskwatch.telemetry import logs

# Children send no pictures to the supervisor.
_MAX_JSON = 1024 * 1024
_MAX_BLOB = 0
# The only variables that a child inherits: others of the environment may hold passwords.
_INHERITED = frozenset(
    {"HOME", "JOURNAL_STREAM", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SSL_CERT_DIR", "SSL_CERT_FILE"}
    | {"TMPDIR", "TZ", "TZDIR", "USER"}
)
_PROXIES = frozenset({"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"})
_INHERITED_PREFIXES = ("LC_", "LD_", "PYTHON", "COVERAGE", "FAKETIME", "MASKWATCH_TEST_")
# A worker is one of many on the machine: one thread for arithmetic, and few heaps.
_SET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}


class ModuleProcess(subprocess.Popen[bytes]):
    """A running `python -m MODULE`, which the kernel kills when this process dies.

    To be made in the main thread: the kernel ties the child's life to the thread that started it.

    Args:
        isolated: it gets a session of its own, and a process namespace where the system permits one. If
            the kernel shares the processors between sessions, its threads count as one.
        own_group: it gets a process group of its own, which ends with it.

    Attributes:
        isolated: whether it has one.

    Raises:
        OSError: the system cannot start a process now.
    """

    def __init__(
        self,
        module: str,
        *arguments: str,
        fds: Collection[int] = (),
        stdout: int | None = None,
        stderr: int | None = None,
        isolated: bool = False,
        own_group: bool = False,
    ) -> None:
        self.isolated = False
        self._group = 0
        # Before Python itself starts: a child that is still starting must not survive either.
        prepare = partial(tie_to_parent, os.getpid())
        with ExitStack() as stack:
            if isolated:
                reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
                stack.callback(os.close, reader)
                stack.callback(os.close, writer)
                prepare = partial(replace_by_isolated, os.getpid(), writer, tie_to_parent)
            try:
                super().__init__(
                    [sys.executable, "-m", module, *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    pass_fds=fds,
                    env={**child_environment(os.environ, module), **journal_of(stderr)},
                    preexec_fn=prepare,
                    start_new_session=isolated,
                    process_group=0 if own_group else None,
                )
            except subprocess.SubprocessError as error:
                if isolated:
                    self._end_group()
                raise OSError(errno.EAGAIN, f"the new process failed: {error}") from error
            if isolated:
                self._adopt(reader)
            elif own_group:
                self._group = self.pid

    def poll(self) -> int | None:
        """Return the exit code, None while the process runs. At the end, wait for its group too."""
        code = super().poll()
        if code is not None and self._group:
            self._end_group()
        return code

    def _adopt(self, reader: int) -> None:
        """Stand for the process that has taken the place of the started one, if one has."""
        self._group = self.pid
        try:
            report = os.read(reader, REPORT.size)
        except BlockingIOError:
            return
        self.wait()
        self.returncode = None
        (self.pid,) = REPORT.unpack(report)
        self.isolated = True

    def _end_group(self) -> None:
        """End what was to take this process's place and was not reported: one of both was killed."""
        group, self._group = self._group or self.pid, 0
        with suppress(ChildProcessError):
            while True:
                if os.waitpid(-group, os.WNOHANG) == (0, 0):
                    os.killpg(group, signal.SIGKILL)  # the number is no other's while a child has it
                    os.waitpid(-group, 0)


def journal_of(stderr: int | None) -> dict[str, str]:
    """Return what says that a child's standard error goes to journald, if it is passed on to there."""
    if stderr is None or stderr < 0 or not logs.is_journal(sys.stderr):
        return {}
    status = os.fstat(stderr)
    return {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}


class Process(Protocol):
    """What the supervisor does with a child's process."""

    pid: int
    isolated: bool

    def poll(self) -> int | None:
        """Return the exit code, None while the process runs."""

    def kill(self) -> None: ...


class Start(Protocol):
    """Starts `python -m MODULE`; the names of `options` are followed by the number of a descriptor.

    A worker's output goes to `log`, and it is isolated.

    Raises:
        OSError: the system cannot start a process now.
    """

    def __call__(self, module: str, options: Mapping[str, int], log: int | None) -> Process: ...


def start_program(module: str, options: Mapping[str, int], log: int | None) -> Process:
    """Start a program of its own; see `Start`."""
    arguments = [text for name, fd in options.items() for text in (name, str(fd))]
    fds = tuple(options.values())
    return ModuleProcess(module, *arguments, fds=fds, stdout=log, stderr=log, isolated=log is not None)


class ChildProcess:
    """A running child: `python -m MODULE --fd N`, and the channel to it.

    A worker is also given `--broker N`, at which it hands over its network (`NetworkBroker`), and a pipe
    for its log (`LogRelay`).

    Raises:
        OSError: the system cannot start a process now.
    """

    def __init__(self, module: str, configure: Configure, start: Start = start_program) -> None:
        self.broker_socket: socket.socket | None = None
        self.log: FileIO | None = None
        log = None
        own, peer = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with ExitStack() as stack:
            options = {"--fd": stack.enter_context(peer).fileno()}
            if configure.camera:
                self.broker_socket, broker = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                options["--broker"] = stack.enter_context(broker).fileno()
                reader, log = os.pipe2(os.O_CLOEXEC)
                stack.callback(os.close, log)
                self.log = FileIO(reader)
            self._process = start(module, options, log)
        self.pid = self._process.pid
        self.isolated = self._process.isolated
        self.poll = self._process.poll
        self.kill = self._process.kill
        self.channel: Channel[ToSupervisor] = Channel(
            own, TO_SUPERVISOR, max_json=_MAX_JSON, max_blob=_MAX_BLOB
        )
        self.channel.send(configure)


Spawn = Callable[[str, Configure, Start], ChildProcess]


def child_environment(environ: Mapping[str, str], module: str) -> dict[str, str]:
    """Return the environment of a child that runs `module`: without variables that may be secret."""
    names = _INHERITED | (_PROXIES if module == "maskwatch.recorder" else frozenset())
    inherited = {
        name: value
        for name, value in environ.items()
        if name in names or name.startswith(_INHERITED_PREFIXES)
    }
    return {**_SET, **inherited}


def describe_exit(code: int) -> str:
    """Return the meaning of an exit code, in words."""
    if code == SourceTooLargeError.exit_code:
        return "ended: the pictures need more memory than supervision.worker_megabytes allows"
    if code == SourceRedirectedError.exit_code:
        return "ended: its camera redirects to another port"
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    cause = " (out of memory, or by hand)" if -code == signal.SIGKILL else ""
    return f"was killed by {name}{cause}"
