"""What the supervisor and the zygote send each other; see `maskwatch.worker.zygote`."""

from __future__ import annotations

import msgspec

MAX_BYTES = 64 << 10
READY, UNFIT = b"r", b"u"
"""The zygote's first message: it can fork workers, or it cannot, followed by why."""
ISOLATED, NOT_ISOLATED = b"i", b"n"
"""A worker's only message at its report: whether it has a process namespace of its own."""


class ForkRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A worker to be forked. With it come descriptors: its report, its log, and those of `options`.

    Attributes:
        module: what it runs, as `python -m` does.
        options: the names of the command line's options, each followed by the number of a descriptor.
        environment: variables that it has beside the zygote's.
    """

    module: str
    options: tuple[str, ...]
    environment: dict[str, str]
