"""Sandboxes a worker: it decodes hostile bytes, and needs neither disk nor other programs.

Each layer that the kernel offers is applied; a missing one is logged. To be called before the first
thread is started, and before the first byte from the camera.

* no new privileges: no set-user-id program raises them.
* process, network and IPC namespaces of its own, and as root a user of its own, where permitted.
* capabilities: none.
* limits: no core dump (it would hold faces), few descriptors and threads, the first choice of the OOM
  killer.
* Landlock: reading what Python, the libraries and the models need; nothing is written; TCP only to
  the camera's ports; no signal and no abstract socket beyond this process.
* seccomp: only the system calls that a decoder needs; see `maskwatch.sandbox.seccomp`.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import os
import resource
import socket
import sys
from collections.abc import Iterable
from pathlib import Path

from maskwatch.sandbox import brokered as brokering
from maskwatch.sandbox import landlock, seccomp
from maskwatch.sandbox.privileges import (
    drop_capabilities,
    limit_threads,
    own_namespaces,
    own_process_space,
    own_user,
)
from maskwatch.sandbox.seccomp import Network

_log = logging.getLogger(__name__)
_PR_SET_NO_NEW_PRIVS = 38
_MAX_DESCRIPTORS = 256
_OOM_SCORE = 600
_DNS = 53
# Beside Python itself: shared libraries, name resolution, time zones, certificates, the processor.
_SYSTEM = (
    "/usr",
    "/lib",
    "/lib64",
    "/etc/ca-certificates",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/hosts",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/etc/pki",
    "/etc/protocols",
    "/etc/resolv.conf",
    "/etc/services",
    "/etc/ssl",
    "/dev/urandom",
    "/proc/cpuinfo",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/self",
    "/run/systemd/resolve",
    "/sys/bus/pci/devices",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/fs/cgroup",
)


def enter(
    files: Iterable[str],
    ports: Iterable[int],
    *,
    network: Network | None = None,
    broker: socket.socket | None = None,
) -> list[str]:
    """Sandbox this process irrevocably; return the names of the layers in force.

    Args:
        files: what it must be able to read beside the program itself: models, a recorded file.
        ports: TCP ports of its camera.
        network: what else it does in networks; by default only TCP, if there are ports.
        broker: at whose other end the supervisor offers to make its connections.
    """
    ports = set(ports)
    network = network or Network(tcp=bool(ports))
    ports |= {network.relay_port, network.redirected_port} - {0}
    layers = [*own_process_space(), *_limits(), *_no_new_privileges()]
    if "no new privileges" in layers:  # the filters require it
        files = list(files)
        readable = readable_paths(files)
        needed = [*readable, *_members(files)]
        brokered = broker is not None and brokering.probe(broker)
        if brokered:
            ports = set()
            # The supervisor's sockets are of the machine's network, and of its user.
            layers += [*own_namespaces(), *own_user()]
        elif network.names:
            ports |= {_DNS}
        layers += limit_threads(layers)
        layers += drop_capabilities(needed)
        layers += landlock.restrict(readable, ["/dev/null"], ports)
        layers += (
            brokering.restrict(broker, network)
            if broker is not None and brokered
            else seccomp.restrict(network)
        )
    _log.debug("sandboxed: %s", ", ".join(layers))
    return layers


def readable_paths(files: Iterable[str]) -> list[Path]:
    """Return all paths that the worker may read."""
    # `python -m` adds the working directory, which may hold the runtime directory, or any other file.
    found = [path for path in sys.path if not _is_working_directory(path)]
    program = [sys.prefix, sys.base_prefix, *found]
    package = Path(__file__).resolve().parents[1]
    shipped = package.with_name("models")  # of a checkout; an installed package holds them
    named = [Path(path) for path in (*program, *_SYSTEM, *files) if path]
    return [path for path in (*named, package, shipped) if path.exists() and path != Path("/")]


def _members(folders: Iterable[str]) -> list[Path]:
    return [member for folder in filter(None, folders) for member in Path(folder).glob("*")]


def _is_working_directory(path: str) -> bool:
    try:
        return Path(path).samefile(".")
    except OSError:
        return False


def _limits() -> list[str]:
    layers = []
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_NOFILE, (_MAX_DESCRIPTORS, _MAX_DESCRIPTORS))
        layers.append("limits")
    with contextlib.suppress(OSError):
        # A core dump by a helper program ignores the limit above.
        Path("/proc/self/coredump_filter").write_text("0", encoding="ascii")
        Path("/proc/self/oom_score_adj").write_text(str(_OOM_SCORE), encoding="ascii")
        layers.append("OOM score")
    return layers


def _no_new_privileges() -> list[str]:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0:
        return ["no new privileges"]
    _log.warning("no_new_privs is unavailable: %s", os.strerror(ctypes.get_errno()))
    return []
