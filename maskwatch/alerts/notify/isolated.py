"""Sends each notification in a process of its own, which has a deadline and a bound of memory.

No library for HTTP or mail has a deadline for a whole exchange: a peer that sends its answer byte by
byte, redirects without end or answers with gigabytes could hold a channel, or the recorder, for ever.
A process can be killed, whatever it waits for.

`python -m maskwatch.alerts.notify.isolated` is that process: its input is a `_Job`, its output a
`_Result`.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec

from maskwatch.alerts.notify.messages import Notification
from maskwatch.alerts.notify.transports import make_transport
from maskwatch.alerts.sink import DeliveryStatus
from maskwatch.config.codec import dec_hook, enc_hook
from maskwatch.config.schema import ChannelConfig
from maskwatch.files import MIB
from maskwatch.ipc.parent_death import tie_to_parent
from maskwatch.secrets import redact

DEADLINE = 30.0
_MAX_MEMORY = 512 * MIB


class _Job(msgspec.Struct, frozen=True):
    channel: ChannelConfig
    notification: Notification  # without its picture
    picture: str
    parent: int


class _Result(msgspec.Struct, frozen=True):
    status: DeliveryStatus
    detail: str


class IsolatedTransport:
    """Implements `NotificationTransport` by a process for each notification.

    Raises (from the constructor): as `make_transport`.
    """

    def __init__(self, channel: ChannelConfig, deadline: float = DEADLINE) -> None:
        make_transport(channel)  # reports what is wrong with the channel
        self._channel = channel
        self._deadline = deadline

    def send(self, notification: Notification) -> tuple[DeliveryStatus, str]:
        job = _Job(
            self._channel,
            replace(notification, picture=None),
            str(notification.picture or ""),
            os.getpid(),
        )
        try:
            output, code = self._run(msgspec.json.encode(job, enc_hook=enc_hook))
            result = msgspec.json.decode(output, type=_Result)
        except subprocess.TimeoutExpired:
            return DeliveryStatus.FAILED, f"not finished within {self._deadline:g} s"
        except OSError as error:
            return DeliveryStatus.FAILED, f"cannot start a process: {error.strerror}"
        except msgspec.DecodeError:
            return DeliveryStatus.FAILED, f"the sending process ended with exit code {code}"
        return result.status, redact(result.detail)

    def _run(self, job: bytes) -> tuple[bytes, int]:
        """Return the output and exit code of the process.

        Raises:
            TimeoutExpired, OSError: it did not end in time, or did not start.
        """
        with subprocess.Popen(
            [sys.executable, "-m", "maskwatch.alerts.notify.isolated"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        ) as process:
            try:
                output, _ = process.communicate(job, self._deadline)
            finally:
                process.kill()
        return output, process.returncode


def _send(job: _Job) -> _Result:
    notification = replace(job.notification, picture=Path(job.picture) if job.picture else None)
    try:
        return _Result(*make_transport(job.channel).send(notification))
    except MemoryError:
        return _Result(DeliveryStatus.FAILED, f"the answer takes more than {_MAX_MEMORY // MIB} MiB")


def main() -> None:
    """Send the notification of standard input."""
    job = msgspec.json.decode(sys.stdin.buffer.read(), type=_Job, dec_hook=dec_hook)
    tie_to_parent(job.parent)
    resource.setrlimit(resource.RLIMIT_AS, (_MAX_MEMORY, _MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    result = _send(job)
    sys.stdout.buffer.write(msgspec.json.encode(result))


if __name__ == "__main__":
    main()
