"""Proves to the recorder that the supervisor started a worker, and for which camera.

A worker decodes hostile bytes and may be taken over. Both sockets in the runtime directory belong to
one user, so without a token it could connect to the recorder as another camera. The recorder has the
key of one run of the daemon; a worker has its own camera's token and cannot derive another.
"""

from __future__ import annotations

import hashlib
import hmac

from maskwatch.secrets import Secret

_PURPOSE = b"maskwatch worker token 1\n"


def worker_token(key: Secret, camera: str) -> Secret:
    return Secret(_digest(key, camera))


def is_worker_token(token: str, key: Secret, camera: str) -> bool:
    return hmac.compare_digest(token.encode(), _digest(key, camera).encode())


def _digest(key: Secret, camera: str) -> str:
    return hmac.new(key.reveal().encode(), _PURPOSE + camera.encode(), hashlib.sha256).hexdigest()
