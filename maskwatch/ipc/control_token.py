"""Proves to the control socket that a client may command the daemon.

A worker decodes hostile bytes and has the daemon's own user, so neither that user nor a process id
shows that an operator asks. An operator can read the token in the runtime directory; a worker cannot,
since its sandbox allows it no file there. The token itself never travels: a client signs the server's
challenge, together with its request.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path

from maskwatch.secrets import Secret

TOKEN_FILE = "control.token"  # noqa: S105 - a file name
_PURPOSE = b"maskwatch control proof 1\n"
_MAX_BYTES = 200


def new_token() -> Secret:
    return Secret(secrets.token_hex(32))


def new_challenge() -> str:
    return secrets.token_hex(32)


def proof(token: Secret, challenge: str, request: bytes) -> str:
    """Return what answers `challenge` for this request, which is a line without its end."""
    signed = b"\n".join((challenge.encode(), request.strip()))
    return hmac.new(token.reveal().encode(), _PURPOSE + signed, hashlib.sha256).hexdigest()


def is_proof(given: str, token: Secret, challenge: str, request: bytes) -> bool:
    return hmac.compare_digest(given.encode(), proof(token, challenge, request).encode())


def write_token(path: Path, token: Secret, mode: int) -> None:
    """Write the token to a new file; one of a former run is replaced.

    Raises:
        OSError: it cannot be written.
    """
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(f"{token.reveal()}\n")
        os.fchmod(fd, mode)


def read_token(path: Path) -> Secret:
    """Return the token in the file. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return Secret(file.read(_MAX_BYTES).decode("ascii", "replace").strip())


def group_mode(directory: Path) -> int:
    """Return the mode bits that the group gets of what controls the daemon: none, or read and write.

    The group may control the daemon where the directory is open to it, and closed to all others
    (mode 0710 or 0750): whoever sets that does so on purpose.
    """
    mode = stat.S_IMODE(directory.stat().st_mode)
    return 0o060 if mode & 0o017 == 0o010 else 0
