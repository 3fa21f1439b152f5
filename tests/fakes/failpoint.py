"""A failpoint: a function of the program at whose beginning the process is killed."""

from __future__ import annotations

import os
import signal
from importlib import import_module
from typing import Any


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
