"""The real, locked-in worker, which tries its camera again at once: for patience that a test lacks."""

from __future__ import annotations

import os
import sys
from functools import partial

from maskwatch.capture import reconnect
from maskwatch.worker.main import main

if __name__ == "__main__":
    reconnect.Backoff = partial(  # type: ignore[assignment, misc]
        reconnect.Backoff, first=0.1, cap=0.3, least=0.05, unauthorized=0.3
    )
    code = main(sys.argv[1:])
    sys.stderr.flush()
    os._exit(code)
