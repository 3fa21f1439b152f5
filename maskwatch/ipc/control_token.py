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


def write_token(path: Path, token: Secret, group: int | None) -> None:
    """Write the token to a new file, which `group` may read; one of a former run is replaced.

    Raises:
        OSError: it cannot be written.
    """
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(f"{token.reveal()}\n")
        if group is not None:
            os.fchown(fd, -1, group)
            os.fchmod(fd, 0o640)


def read_token(path: Path) -> Secret:
    """Return the token in the file. Raises OSError where it cannot be read."""
    with path.open("rb") as file:
        return Secret(file.read(_MAX_BYTES).decode("ascii", "replace").strip())


def controlling_group(directory: Path) -> int | None:
    """Return the id of the group that may control the daemon, if there is one.

    It is the group of the runtime directory where that is open to it, and closed to all others (mode
    0710 or 0750): whoever sets that does so on purpose.
    """
    status = directory.stat()
    return status.st_gid if stat.S_IMODE(status.st_mode) & 0o017 == 0o010 else None
