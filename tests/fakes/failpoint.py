"""A failpoint: a function of the program at whose beginning the process is killed."""

from __future__ import annotations

import os
import signal
from importlib import import_module
from typing import Any

FAILPOINTS = (
    "maskwatch.supervisor.runtime_dir:RuntimeDir.__init__",
    "maskwatch.supervisor.control_server:ControlServer.start",
    "maskwatch.supervisor.http_servers:ConfiguredServer.serve_first",
    "maskwatch.supervisor.child_controller:ChildController.start_recorder",
    "maskwatch.supervisor.child:ManagedChild._handle",
    "maskwatch.supervisor.model_check:_judge",
    "maskwatch.supervisor.child_controller:ChildController.start_workers",
    "maskwatch.supervisor.camera_monitor:CameraMonitor._inform_new_recorder",
    "maskwatch.supervisor.systemd:SystemdNotifier.ready",
    "maskwatch.supervisor.liveness:_start_process",
    "maskwatch.supervisor.reload:Reloader._apply",
    "maskwatch.supervisor.main:Supervisor._stop_children",
    "maskwatch.supervisor.control_server:ControlServer.stop",
)
"""Functions of the supervisor at whose beginning it is killed."""


def arm(name: str) -> None:
    """Have this process killed when it calls the function `MODULE:FUNCTION` or `MODULE:CLASS.METHOD`."""
    module, _, path = name.partition(":")
    owner: Any = import_module(module)
    *parents, function = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    assert callable(getattr(owner, function))

    def kill(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    setattr(owner, function, kill)
