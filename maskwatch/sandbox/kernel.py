"""The version of the running kernel, for what no call can ask it."""

from __future__ import annotations

import platform
import re


def is_at_least(major: int, minor: int) -> bool:
    numbers = re.match(r"(\d+)\.(\d+)", platform.release())
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= (major, minor)
