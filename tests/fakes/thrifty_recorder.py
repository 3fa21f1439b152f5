"""The real recorder with other pauses: a test waits neither an hour nor for a fast machine.

`python -m tests.fakes.thrifty_recorder --fd N`, started by the supervisor instead of the recorder.
MASKWATCH_TEST_POLICY is JSON with fields of `maskwatch.recorder.retries.RetryPolicy`, and what
`policy_environment` describes.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial

from maskwatch.backoff import Backoff
from maskwatch.recorder import delivery, maintenance
from maskwatch.recorder.main import main


def policy_environment(**fields: float) -> dict[str, str]:
    """Return the environment of a daemon whose recorder has these pauses.

    `longest_pause` is the cap of its back-off, `retention_pause` the least time between two passes of
    retention; in seconds.
    """
    module = "tests.fakes.thrifty_recorder"
    return {"MASKWATCH_TEST_RECORDER": module, "MASKWATCH_TEST_POLICY": json.dumps(fields)}


if __name__ == "__main__":
    fields = json.loads(os.environ["MASKWATCH_TEST_POLICY"])
    if cap := fields.pop("longest_pause", None):
        fields["backoff"] = Backoff(first=0.1, cap=cap, min_fraction=0.1)
    maintenance._MIN_INTERVAL = fields.pop("retention_pause", maintenance._MIN_INTERVAL)
    delivery.RetryPolicy = partial(delivery.RetryPolicy, **fields)  # type: ignore[assignment, misc]
    sys.exit(main())
