"""`python -m tests.fakes.sandboxed_client SOCKET [READABLE ...]`: a command from a worker's sandbox.

READABLE are paths that the sandbox allows. It prints the answer, or why there is none.
"""

from __future__ import annotations

import sys
from pathlib import Path

from maskwatch.errors import ControlError
from maskwatch.ipc.control import RunCommand, ask
from maskwatch.sandbox.enter import enter
from maskwatch.sandbox.seccomp import Network

if __name__ == "__main__":
    path, *readable = sys.argv[1:]
    enter(readable, [], network=Network(local=True))
    try:
        answer = str(ask(Path(path), RunCommand(verb="disable", target="door"), timeout=5))
    except ControlError as error:
        answer = str(error)
    sys.stdout.write(answer)
