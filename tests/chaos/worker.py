"""A worker of the storm: it journals as `tests.fakes.journaling_worker`, and may be taken over.

It is hostile, as `tests.fakes.hostile_worker`, if the file of attacks names one.
"""

from __future__ import annotations

import os
import sys

from tests.fakes.hostile_worker import run
from tests.fakes.journaling_worker import open_journal

if __name__ == "__main__":
    code = run(open_journal())
    sys.stderr.flush()
    os._exit(code)
