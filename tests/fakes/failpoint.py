"""A failpoint: a function of the program at whose beginning the process is killed.

`python -m tests.fakes.failpoint POINT ARGUMENT ...` is `maskwatch ARGUMENT ...` with a failpoint.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import Any

FAILPOINTS = (
    "maskwatch.supervisor.prerequisites:Prerequisites.tried",
    "maskwatch.supervisor.prerequisites:Prerequisites.obtain",
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
BEFORE_THE_SUPERVISOR = (
    "maskwatch.cli.options:find_config",
    "maskwatch.config.load:check_config",
    "maskwatch.supervisor.main:serve",
    "maskwatch.telemetry.logs:setup",
    "maskwatch.supervisor.prerequisites:Prerequisites.__init__",
)
"""Functions of `maskwatch run` at whose beginning there is no supervisor yet."""


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


if __name__ == "__main__":
    arm(sys.argv[1])
    import_module("maskwatch.cli.app").main(sys.argv[2:])
