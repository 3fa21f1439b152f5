"""A child ends with its parent: the kernel kills it, whatever it is doing."""

from __future__ import annotations

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1
# Loaded here: between fork and exec, loading a library could wait for a lock for ever.
_libc = ctypes.CDLL(None, use_errno=True)


def tie_to_parent(parent: int) -> None:
    """Have the kernel kill this process when the process `parent` dies; exit if it is dead already.

    Survives exec. Must be called again after any change of credentials, which undoes it.
    """
    if _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    # The parent may have died before the call above, which then has no effect.
    if os.getppid() != parent:
        os._exit(0)
