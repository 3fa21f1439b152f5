"""What a worker shows the recorder: that the supervisor started it, and for which camera.

A worker decodes hostile bytes and may be taken over. Both sockets in the runtime directory belong to
one user, so without a badge it could greet the recorder in another camera's name. The recorder has the
key, of one run of the daemon; a worker has its own camera's badge and can make no other.
"""

from __future__ import annotations

import hashlib
import hmac

from maskwatch.secrets import Secret

__all__ = ["is_worker_token", "worker_token"]

_PURPOSE = b"maskwatch badge 1\n"


def worker_token(key: Secret, camera: str) -> Secret:
    """Return the badge of a camera's worker."""
    return Secret(_digest(key, camera))


def is_worker_token(shown: str, key: Secret, camera: str) -> bool:
    """Return whether what was shown is the badge of the camera's worker."""
    return hmac.compare_digest(shown.encode(), _digest(key, camera).encode())


def _digest(key: Secret, camera: str) -> str:
    return hmac.new(key.reveal().encode(), _PURPOSE + camera.encode(), hashlib.sha256).hexdigest()
