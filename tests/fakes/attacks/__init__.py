"""What the code of a taken-over worker tries, by family; each attack raises OSError when it is refused.

`attempt_all` runs in the worker's sandbox.
"""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Iterator

from tests.fakes.attacks.calls import Attack, Targets
from tests.fakes.attacks.files import FILE
from tests.fakes.attacks.kernel import KERNEL, UNLISTED
from tests.fakes.attacks.networks import LOCAL, NETWORK
from tests.fakes.attacks.processes import PROCESS, PROGRAM

REFUSED = {"EPERM", "EACCES", "ENOSYS"}
_ENOUGH = 600
_FAMILIES = {
    "process": PROCESS,
    "program": PROGRAM,
    "file": FILE,
    "network": NETWORK,
    "local": LOCAL,
    "kernel": KERNEL,
    "unlisted": UNLISTED,
}


def attacks() -> Iterator[tuple[str, Attack]]:
    """Yield FAMILY/NAME and the attack."""
    for family, members in _FAMILIES.items():
        for name, attack in members.items():
            yield f"{family}/{name}", attack


def attempt_all(targets: Targets, only: str = "") -> dict[str, str]:
    """Try every attack (whose family is `only`); return the error of each, "" for one that succeeded."""
    return {name: _attempt(attack, targets) for name, attack in attacks() if name.startswith(only)}


def _attempt(attack: Attack, targets: Targets) -> str:
    try:
        attack(targets)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return ""


def counts() -> dict[str, int]:
    """Return how many threads and descriptors this process gets before it is refused more."""
    done, opened = threading.Event(), []
    threads = 0
    with contextlib.suppress(RuntimeError):
        while threads < _ENOUGH:
            threading.Thread(target=done.wait, daemon=True).start()
            threads += 1
    done.set()
    with contextlib.suppress(OSError):
        while len(opened) < _ENOUGH:
            opened.append(os.open("/dev/null", os.O_RDONLY))
    for fd in opened:
        os.close(fd)
    return {"threads": threads, "descriptors": len(opened)}
