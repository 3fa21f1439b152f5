"""`python -m maskwatch.worker.zygote --fd N`: forks the workers for the supervisor.

It imports what all workers use. A forked worker shares that memory until it writes to it, and starts in
a twentieth of the time that a program of its own takes. All have the address layout of the zygote.

The zygote has one thread, since a fork copies no other, and holds no secret: a worker gets its
configuration from the supervisor after the fork, through a descriptor of its own. It is the supervisor
that is a worker's parent (`maskwatch.sandbox.namespaces`), waits for it, and at whose end it is killed.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import importlib
import os
import runpy
import select
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from maskwatch.config.schema import CameraConfig, Config
from maskwatch.domain import LiveIds
from maskwatch.errors import DependencyError, MaskwatchError
from maskwatch.ipc.fork_request import ISOLATED, MAX_BYTES, NOT_ISOLATED, READY, UNFIT, ForkRequest
from maskwatch.ipc.parent_death import tie_to_parent
from maskwatch.sandbox.namespaces import can_fork_isolated, fork_isolated
from maskwatch.sandbox.privileges import own_process_space
from maskwatch.secrets import SecretUrl
from maskwatch.telemetry.meter import Meter

_MODULES = (
    "maskwatch.worker.main",
    "maskwatch.capture.camera",
    "maskwatch.capture.rtsp_client",
    "maskwatch.telemetry.native_stderr",
    "maskwatch.capture.picture",
    "maskwatch.capture.health",
    "maskwatch.analysis.build",
    # What the libraries import when they are used first.
    "av.subtitles.stream",
    "encodings.ascii",
    "encodings.idna",
    "numpy.ma",
)
_MAX_DESCRIPTORS = 8
_STDOUT, _STDERR = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Fork workers until the supervisor ends; return the exit code. In a worker, run its module."""
    parser = argparse.ArgumentParser(prog="maskwatch-zygote")
    parser.add_argument("--fd", type=int, required=True, help="the inherited socket to the supervisor")
    options = parser.parse_args(arguments)
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    with socket.socket(fileno=options.fd) as supervisor:
        _load()
        reason = _unfit()
        supervisor.send(UNFIT + reason.encode() if reason else READY)
        if reason:
            return DependencyError.exit_code
        forked = _fork_on_request(supervisor)
    if forked is not None:
        _run(*forked)
    return 0


def _fork_on_request(supervisor: socket.socket) -> tuple[ForkRequest, list[int]] | None:
    """Fork a worker for each request; return in each with its options' descriptors, here at the end."""
    parent = os.getppid()
    while True:
        message, descriptors, *_ = socket.recv_fds(supervisor, MAX_BYTES, _MAX_DESCRIPTORS)
        if not message:
            return None
        request = msgspec.json.decode(message, type=ForkRequest)
        try:
            pid = fork_isolated()
        except OSError:  # the system has no memory or process left: the supervisor starts another zygote
            return None
        if pid == 0:
            report, log, *others = descriptors
            _tie_to(parent, supervisor)
            _introduce(report)
            os.dup2(log, _STDOUT)
            os.dup2(log, _STDERR)
            os.close(log)
            return request, others
        for descriptor in descriptors:
            os.close(descriptor)


def _tie_to(parent: int, supervisor: socket.socket) -> None:
    """End with the supervisor, also if it ended before the kernel was to be asked for that."""
    tie_to_parent(0 if own_process_space() else parent)
    ended = select.poll()
    ended.register(supervisor, 0)
    if ended.poll(0):
        os._exit(0)


def _introduce(report: int) -> None:
    """Send the supervisor a byte, with which the kernel sends the process id, and leave the group.

    Until then the supervisor could only end this process as one of the zygote's group.
    """
    os.write(report, ISOLATED if own_process_space() else NOT_ISOLATED)
    os.close(report)
    os.setsid()


def _run(request: ForkRequest, descriptors: Sequence[int]) -> None:
    gc.enable()
    os.environ.update(request.environment)
    pairs = zip(request.options, map(str, descriptors), strict=True)
    arguments = [text for pair in pairs for text in pair]
    _show_command([sys.executable, "-m", request.module, *arguments])
    sys.argv = [request.module, *arguments]
    runpy.run_module(request.module, run_name="__main__", alter_sys=True)


def _show_command(words: Sequence[str]) -> None:
    """Have the system show these words as this process's command, as far as there is room."""
    fields = Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    start, end = int(fields[45]), int(fields[46])
    text = "\0".join(words).encode()[: end - start - 1]
    ctypes.memset(start, 0, end - start)
    ctypes.memmove(start, text, len(text))


def _load() -> None:
    """Import what workers use, and keep its memory as it is: what is written to is no longer shared."""
    for name in _MODULES:
        importlib.import_module(name)
    _load_models()
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    gc.disable()  # a collection would write to every object
    gc.freeze()


def _load_models() -> None:
    """Load the shipped models, which most workers use; if that fails, a worker will report it."""
    import cv2  # noqa: PLC0415 - heavy, as all that follows

    from maskwatch.analysis.build import build_pipeline  # noqa: PLC0415
    from maskwatch.vision.interpreter import kept_for_forks  # noqa: PLC0415

    cv2.setNumThreads(1)
    camera = CameraConfig(name="none", url=SecretUrl("rtsp://127.0.0.1/"))
    with suppress(MaskwatchError), kept_for_forks():
        build_pipeline(Config(cameras=(camera,)), camera, ids=LiveIds(), meter=Meter())


def _unfit() -> str:
    """Return why this process must not fork workers, "" if it may."""
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads != 1:
        return f"the libraries have started {threads - 1} threads"
    return (
        "" if can_fork_isolated() else "the system does not say where the C library keeps a thread's id"
    )


if __name__ == "__main__":
    sys.exit(main())
