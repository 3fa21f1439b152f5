"""The real sandboxed worker, which reconnects to its camera after a fraction of a second."""

from __future__ import annotations

import os
import sys

from maskwatch.backoff import Backoff
from maskwatch.capture.reconnect import ReconnectDelays
from maskwatch.worker.main import main

if __name__ == "__main__":
    quick = Backoff(first=0.1, cap=0.3, floor=0.05)
    code = main(sys.argv[1:], delays=ReconnectDelays(quick, quick))
    sys.stderr.flush()
    os._exit(code)
