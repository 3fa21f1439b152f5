"""The real, locked-in worker, which tries its camera again at once: for patience that a test lacks."""

from __future__ import annotations

import os
import sys
from functools import partial

from maskwatch.backoff import Backoff
from maskwatch.capture import reconnect
from maskwatch.worker.main import main

if __name__ == "__main__":
    quick = Backoff(first=0.1, cap=0.3, floor=0.05)
    reconnect.ReconnectDelays = partial(  # type: ignore[assignment, misc]
        reconnect.ReconnectDelays, quick, quick
    )
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)
