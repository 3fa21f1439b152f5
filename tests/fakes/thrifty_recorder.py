"""The real recorder with the rate limit MASKWATCH_TEST_RATE (alerts a second for each sink).

`python -m tests.fakes.thrifty_recorder --fd N`, started by the supervisor instead of the recorder: also
a slow machine reaches a low limit.
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
