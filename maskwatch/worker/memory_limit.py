"""The kernel's limit on this process's memory: a hostile stream cannot make it allocate more.

The supervisor renews a worker whose resident memory exceeds `supervision.worker_megabytes`. But it
measures every few seconds, and a decoder allocates gigabytes in between. The limit here is higher by a
quarter, so that slow growth ends in a renewal, which loses nothing.
"""

from __future__ import annotations

import resource

from maskwatch.errors import SourceTooLargeError

_MIN_MEGABYTES = 256


def limit_memory(megabytes: int) -> None:
    """Limit private memory, irrevocably; libraries mapped from files do not count."""
    limit = (max(megabytes, _MIN_MEGABYTES) << 20) * 5 // 4
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def memory_error(camera: str, megabytes: int) -> SourceTooLargeError:
    """Return the error of a worker that could not allocate memory outside of the decoder."""
    return SourceTooLargeError(
        f"{camera}: the pictures need more memory than allowed ({megabytes} MiB by "
        "supervision.worker_megabytes); use a sub-stream, or raise the limit"
    )
