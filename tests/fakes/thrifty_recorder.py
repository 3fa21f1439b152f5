"""The real recorder, which hands each sink no more alerts a second than MASKWATCH_TEST_RATE says.

`python -m tests.fakes.thrifty_recorder --fd N`, started by the supervisor in the recorder's place: a
machine need not be fast, then, to come to the bound.
"""

from __future__ import annotations

import os
import sys
from functools import partial

from maskwatch.recorder import delivery
from maskwatch.recorder.main import main

if __name__ == "__main__":
    rate = float(os.environ["MASKWATCH_TEST_RATE"])
    delivery.RetryPolicy = partial(delivery.RetryPolicy, rate=rate)  # type: ignore[assignment, misc]
    sys.exit(main())
