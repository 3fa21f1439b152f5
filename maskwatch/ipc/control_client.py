"""Asks a running daemon over its control socket. Light: for the command line."""

from __future__ import annotations

import socket
import time
from pathlib import Path

from maskwatch.errors import ControlError
from maskwatch.ipc.control import MAX_LINE, Answer, Refused, Request, decode_answer, encode_line

__all__ = ["CONTROL_SOCKET", "ask", "control_socket"]

CONTROL_SOCKET = "control.sock"


def control_socket(runtime_dir: str | Path) -> Path:
    """Return where a daemon with this runtime directory listens."""
    return Path(runtime_dir) / CONTROL_SOCKET


def ask(path: Path, request: Request, *, timeout: float) -> Answer:
    """Send a request and return its answer, which must come within `timeout` seconds.

    Raises:
        ControlError: no daemon listens there, it does not answer, or it refused.

    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout)
            sock.connect(str(path))
            sock.sendall(encode_line(request))
            answer = decode_answer(_line(sock, time.monotonic() + timeout))
    except TimeoutError:
        raise ControlError(f"the daemon did not answer within {timeout:.0f} s") from None
    except (FileNotFoundError, ConnectionRefusedError):
        raise ControlError(f"no daemon listens at {path}; is it running with this config?") from None
    except PermissionError:
        raise ControlError(f"{path}: only the daemon's own user, or root, may ask it") from None
    except OSError as error:
        raise ControlError(f"{path}: {error.strerror or error}") from None
    if isinstance(answer, Refused):
        raise ControlError(f"the daemon refused: {answer.reason}")
    return answer


def _line(sock: socket.socket, deadline: float) -> bytes:
    received = bytearray()
    while not received.endswith(b"\n"):
        sock.settimeout(max(0.001, deadline - time.monotonic()))
        data = sock.recv(65536)
        if not data:
            raise ControlError("the daemon ended before it answered")
        received += data
        if len(received) > MAX_LINE:
            raise ControlError("the daemon's answer is too long")
    return bytes(received)
