"""Free memory goes back to the system once a minute."""

from __future__ import annotations

import subprocess
import sys

# Pictures come and go; now and then something small stays, and lies behind the newest of them.
_PICTURES = """
import os
import numpy as np
from maskwatch.clock import ManualClock
from maskwatch.supervisor.process_usage import read_usage
from maskwatch.worker.malloc_trim import MallocTrim

def resident():
    return read_usage(os.getpid()).resident

clock = ManualClock()
trim, large, small = MallocTrim(clock), np.ones(30 << 20, np.uint8), []
del large  # from now on glibc takes pictures for something small
before = resident()
for _ in range(50):
    pictures = [np.ones(1 << 20, np.uint8) for _ in range(2)]
    small.append((pictures, [bytearray(2000) for _ in range(20)]))
small = [kept for pictures, kept in small]
del pictures
for seconds in (0, 59, 2):
    clock.advance(seconds)
    trim.trim_when_due()
    print((resident() - before) >> 20)
"""


def test_the_memory_of_pictures_is_returned_once_a_minute() -> None:
    done = subprocess.run(
        [sys.executable, "-c", _PICTURES], capture_output=True, text=True, check=True, timeout=60
    )
    immediately, soon, later = (int(line) for line in done.stdout.split())
    assert immediately > 50, "the C library keeps it by itself: else this test shows nothing"
    assert soon > 50, "it is not done at each call"
    assert later < 10
