"""One child process: its start, its line to us, its end. Knows nothing of when and why."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping

from maskwatch.ipc.channel import Channel
from maskwatch.ipc.messages import Configure, ToSupervisor
from maskwatch.ipc.wire import TO_SUPERVISOR

__all__ = ["ChildProcess", "Spawn", "environment", "exit_in_words", "spawn"]

# A child sends no pictures this way; what is longer than this is no message of ours.
_MAX_JSON = 1024 * 1024
_MAX_BLOB = 0
# What a child may know of our environment; passwords often stand beside these.
_PASSED = frozenset(
    {"HOME", "JOURNAL_STREAM", "LANG", "LANGUAGE", "LOGNAME", "PATH", "SSL_CERT_DIR", "SSL_CERT_FILE"}
    | {"TMPDIR", "TZ", "TZDIR", "USER"}
)
_PROXIES = frozenset({"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"})
_PASSED_PREFIXES = ("LC_", "LD_", "PYTHON", "COVERAGE", "FAKETIME", "MASKWATCH_TEST_")
# A worker is one of many on the machine: one thread for arithmetic, and few heaps.
_SET = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}


class ChildProcess:
    """A running child: `python -m MODULE --fd N`, and the channel to it.

    To be made in the main thread: the kernel ties the child's life to the thread that made it.
    """

    def __init__(self, module: str, configure: Configure) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            self._popen = subprocess.Popen(
                [sys.executable, "-m", module, "--fd", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                env=environment(os.environ, module),
            )
        self.channel: Channel[ToSupervisor] = Channel(
            ours, TO_SUPERVISOR, max_json=_MAX_JSON, max_blob=_MAX_BLOB
        )
        self.channel.send(configure)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._popen.pid

    def poll(self) -> int | None:
        """Reap the child if it ended; return its exit code (negative: the signal), else None."""
        return self._popen.poll()

    def kill(self) -> None:
        """Send SIGKILL, which cannot be caught; `poll` will see the end."""
        self._popen.kill()

    def wait(self, timeout: float) -> int | None:
        """Wait up to `timeout` seconds for the end (only when everything ends)."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            return None


def environment(ours: Mapping[str, str], module: str) -> dict[str, str]:
    """Return a child's environment: nothing of ours that might be another's secret."""
    names = _PASSED | (_PROXIES if module == "maskwatch.recorder" else frozenset())
    passed = {
        name: value for name, value in ours.items() if name in names or name.startswith(_PASSED_PREFIXES)
    }
    return {**_SET, **passed}


Spawn = Callable[[str, Configure], ChildProcess]


def spawn(module: str, configure: Configure) -> ChildProcess:
    """Start a child; raises OSError if the system cannot."""
    return ChildProcess(module, configure)


def exit_in_words(code: int) -> str:
    """Return what an exit code means."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    core = " (out of memory, or by hand)" if -code == signal.SIGKILL else ""
    return f"was killed by {name}{core}"
