"""Knock at a camera's door when FFmpeg could not say what is wrong there."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from maskwatch.errors import SourceError, SourceGarbageError, SourceSilentError
from maskwatch.secrets import SecretUrl

__all__ = ["knock"]

_PORT = 554
_ENOUGH = 8
_REQUEST = "OPTIONS {url} RTSP/1.0\r\nCSeq: 1\r\nUser-Agent: maskwatch\r\n\r\n"


def knock(url: SecretUrl, timeout: float) -> SourceError | None:
    """Ask for the options of an rtsp address, and say what is wrong with the answer.

    Sends no credentials. Returns None if the peer speaks RTSP after all, or cannot be reached.
    """
    parts = urlsplit(url.reveal())
    host, port = parts.hostname or "", parts.port or _PORT
    bare = f"rtsp://{host}:{port}{parts.path}"
    try:
        with socket.create_connection((host, port), timeout) as peer:
            peer.sendall(_REQUEST.format(url=bare).encode())
            answer = peer.recv(_ENOUGH)
    except TimeoutError:
        return SourceSilentError(f"{url.redacted}: connected, but no answer within {timeout:g} s")
    except OSError:
        return None
    if answer and not b"RTSP/1.0".startswith(answer):
        return SourceGarbageError(f"{url.redacted}: what answers there does not speak RTSP")
    return None if answer else _hung_up(url)


def _hung_up(url: SecretUrl) -> SourceGarbageError:
    return SourceGarbageError(f"{url.redacted}: connected, but the peer hung up without an answer")
