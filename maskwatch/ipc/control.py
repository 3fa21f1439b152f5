"""The protocol of the control socket: one JSON object a line, a request and its answer.

A client that could be a worker must prove that it is none: the first answer is then `Refused` with a
challenge, and the client sends a `Proof` (see `maskwatch.ipc.control_token`). No message holds a secret.
"""

from __future__ import annotations

import socket
import time
from datetime import datetime
from pathlib import Path

import msgspec

from maskwatch.decoding import decode_json
from maskwatch.domain import CameraState, Incident, SinkStatus
from maskwatch.errors import ControlError
from maskwatch.ipc.control_token import TOKEN_FILE, proof, read_token

CONTROL_SOCKET = "control.sock"
MAX_LINE = 4 * 1024 * 1024
"""Most bytes of a line: the status of ten thousand cameras fits."""


class _Line(msgspec.Struct, frozen=True, tag_field="type", kw_only=True):
    """The base: `type` in the JSON names the class."""


class StatusRequest(_Line, frozen=True, kw_only=True, tag="status"):
    """Requests a `StatusReport`."""


class ReloadRequest(_Line, frozen=True, kw_only=True, tag="reload"):
    """Requests a reload of the configuration; with `wait` the answer comes when it is applied."""

    wait: bool = True


class RunCommand(_Line, frozen=True, kw_only=True, tag="command"):
    """Requests an operator's command; see `maskwatch.ipc.messages.Command`."""

    verb: str
    target: str = ""
    seconds: float = 0.0
    since: datetime | None = None
    until: datetime | None = None


class ChildReport(msgspec.Struct, frozen=True, kw_only=True):
    """A child process: its phase, its process id while it runs, and its restarts.

    `sandbox` names the layers that confine it; it is empty before it is ready.
    """

    phase: str
    pid: int | None
    restarts: int
    detail: str = ""
    sandbox: tuple[str, ...] = ()


class CameraReport(msgspec.Struct, frozen=True, kw_only=True):
    """A camera and its worker. `frames` counts those processed by the current process.

    Until `snoozed_until` no alert of its violations is sent; None: the camera is not snoozed.
    `disabled_at` is None unless a command disabled it. `snoozed_by` and `disabled_by` are who sent the
    command, "" if that is not known. `asked_rate` and `rate` are the frames to analyse per second, by
    the configuration and now; 0 if unknown.
    """

    name: str
    state: CameraState
    reason: str
    since: datetime
    frames: int
    last_frame: datetime | None
    attempt: int
    worker: ChildReport
    snoozed_until: datetime | None = None
    snoozed_at: datetime | None = None
    snoozed_by: str = ""
    disabled_at: datetime | None = None
    disabled_by: str = ""
    asked_rate: float = 0.0
    rate: float = 0.0


class StatusReport(_Line, frozen=True, kw_only=True, tag="status_report"):
    """The state of the daemon, its processes and its cameras.

    `ready`: every camera has a worker. `problem`: why the last reload was refused, "" if it was not.
    """

    version: str
    node: str
    pid: int
    started: datetime
    config: str
    ready: bool
    problem: str
    metrics: str
    recorder: ChildReport
    cameras: tuple[CameraReport, ...]
    incidents: tuple[Incident, ...]
    sinks: tuple[SinkStatus, ...] = ()


class ReloadDone(_Line, frozen=True, kw_only=True, tag="reload_done"):
    """The result of a reload: a summary of what changed, or each problem of the file."""

    ok: bool
    summary: str
    problems: tuple[str, ...] = ()


class CommandDone(_Line, frozen=True, kw_only=True, tag="command_done"):
    """The result of a command.

    `counts`: of a `retry`, the number of alerts of each sink.
    """

    ok: bool
    detail: str
    counts: dict[str, int] = {}


class Refused(_Line, frozen=True, kw_only=True, tag="refused"):
    """The request was invalid, or not allowed.

    With a `challenge`, it is answered once a `Proof` has been sent. A client that knows no challenge
    shows the reason.
    """

    reason: str
    challenge: str = ""


class Proof(_Line, frozen=True, kw_only=True, tag="proof"):
    """The answer to a challenge."""

    mac: str


Request = StatusRequest | ReloadRequest | RunCommand
Answer = StatusReport | ReloadDone | CommandDone | Refused

_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_proofs: msgspec.json.Decoder[Proof] = msgspec.json.Decoder(Proof)
_answers: msgspec.json.Decoder[Answer] = msgspec.json.Decoder(Answer)
_encoder = msgspec.json.Encoder()


def encode_line(message: Request | Proof | Answer) -> bytes:
    return _encoder.encode(message) + b"\n"


def decode_request(line: bytes) -> Request:
    """Return the request; raises ControlError for anything else."""
    try:
        return decode_json(_requests, line)
    except msgspec.DecodeError as error:
        raise ControlError(f"not a request: {error}") from None


def decode_proof(line: bytes) -> Proof:
    """Return the proof; raises ControlError for anything else."""
    try:
        return decode_json(_proofs, line)
    except msgspec.DecodeError as error:
        raise ControlError(f"not a proof: {error}") from None


def decode_answer(line: bytes) -> Answer:
    """Return the answer; raises ControlError for anything else."""
    try:
        return decode_json(_answers, line)
    except msgspec.DecodeError as error:
        raise ControlError(f"the daemon's answer is invalid: {error}") from None


def control_socket(runtime_dir: str | Path) -> Path:
    """Return the path at which a daemon with this runtime directory listens."""
    return Path(runtime_dir) / CONTROL_SOCKET


def ask(path: Path, request: Request, *, timeout: float) -> Answer:
    """Send a request and return its answer, which must come within `timeout` seconds.

    Raises:
        ControlError: no daemon listens there, it does not answer, or it refused.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(timeout)
            deadline = time.monotonic() + timeout
            _connect(sock, path, deadline)
            answer = _exchange(sock, encode_line(request), path, deadline)
    except TimeoutError:
        raise ControlError(f"the daemon did not answer within {timeout:.0f} s") from None
    except (FileNotFoundError, ConnectionRefusedError):
        raise ControlError(f"no daemon listens at {path}; is it running with this config?") from None
    except PermissionError as error:
        raise ControlError(_no_permission(error.filename or path)) from None
    except OSError as error:
        raise ControlError(f"{path}: {error.strerror or error}") from None
    if isinstance(answer, Refused):
        raise ControlError(f"the daemon refused: {answer.reason}")
    return answer


def _connect(sock: socket.socket, path: Path, deadline: float) -> None:
    while True:
        try:
            sock.connect(str(path))
        except BlockingIOError:  # too many wait to be accepted
            if time.monotonic() > deadline:
                raise TimeoutError from None
            time.sleep(0.05)
        else:
            return


def _exchange(sock: socket.socket, request: bytes, path: Path, deadline: float) -> Answer:
    """Send a request, answer a challenge, and return the answer to the request."""
    sock.sendall(request)
    answer = decode_answer(_line(sock, deadline))
    if not (isinstance(answer, Refused) and answer.challenge):
        return answer
    token_path = path.with_name(TOKEN_FILE)
    try:
        token = read_token(token_path)
    except FileNotFoundError:
        raise ControlError(f"{token_path} was removed; the daemon writes it again: try later") from None
    sock.sendall(encode_line(Proof(mac=proof(token, answer.challenge, request))))
    return decode_answer(_line(sock, deadline))


def _no_permission(path: str | Path) -> str:
    return (
        f"{path}: permission denied. The daemon obeys root, its own user, and the group of its runtime "
        "directory if that has mode 0710: use sudo"
    )


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
