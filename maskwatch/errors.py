"""Every exception that this project raises on purpose, with its exit code.

::

    MaskwatchError                      1   an error without a code of its own
    ├── UsageError                      2   the command line is wrong
    ├── ConfigError                     3   the configuration is wrong (carries every problem)
    │   └── SecretError                 3   a secret that the configuration names is not available
    ├── StoreError                      4   the database or its directory
    │   ├── StoreTooNewError            5   written by a newer version of maskwatch
    │   ├── StoreLockedError            6   another daemon owns the data directory
    │   ├── StoreBusyError              4   another program holds the database for too long
    │   ├── StoreDamagedError           4   the file is not a sound database
    │   │   └── StoreDisplacedError     4   the open database's files were removed or replaced
    │   ├── AccessDeniedError           4   a file or directory has the wrong owner or mode
    │   └── DiskFullError               4   no space is left for what must be written
    ├── ModelError                      7   a model or its weights
    │   ├── ManifestError               7   the manifest is wrong, or the model does not match it
    │   └── WeightsError                7   the weights are missing or not the pinned ones
    ├── SourceError                     8   a camera or a file (transient for a camera)
    │   ├── SourceRefusedError          8   no program listens there
    │   ├── SourceUnreachableError      8   no route, or the host name is unknown
    │   ├── SourceUnauthorizedError     8   401 or 403: wrong or missing credentials
    │   ├── SourceLoginMethodError      8   the camera offers no method of login that may be used
    │   ├── SourceRedirectedError      16   redirected to a port that a sandboxed process may not use
    │   ├── SourceNotFoundError         8   404: no such stream on the server, or no such file
    │   ├── SourceSilentError           8   connected, but nothing (more) arrives in time
    │   ├── SourceGarbageError          8   what arrives is not the protocol or no video
    │   ├── SourceNoVideoError          8   the stream has no video track
    │   ├── SourceNoKeyPictureError     8   decoding cannot begin: no key picture has come yet
    │   ├── SourceOverloadError         8   pictures come faster than this machine decodes them
    │   ├── SourceTooLargeError         8   pictures larger than allowed, or that need too much memory
    │   └── SourceEndedError            8   the stream ended; for a live camera a failure
    ├── PortInUseError                  9   another program listens on that address
    ├── ControlError                   10   the daemon cannot be reached, or refused the command
    ├── DataError                      11   training or evaluation data is not as expected
    ├── WireError                      12   a peer process sent an invalid message
    ├── DependencyError                13   an optional part is not installed (names the extra)
    ├── SinkError                      14   alerts cannot be delivered: broker, webhook, mail
    └── TemporaryError                 15   what is needed is not available now

Code 15 alone means that the same command can succeed later without any change.
A message names the fault, its place, what was expected and what to do. It never holds a secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class MaskwatchError(Exception):
    """The root of all errors raised on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(MaskwatchError):
    """The command line is wrong."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem in a configuration file, with its location."""

    file: str
    line: int
    column: int
    key: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        """Return ``file:line:column: key: message (hint)``."""
        tail = f" ({self.hint})" if self.hint else ""
        key = f"{self.key}: " if self.key else ""
        return f"{self.file}:{self.line}:{self.column}: {key}{self.message}{tail}"


class ConfigError(MaskwatchError):
    """The configuration is wrong; `problems` holds all problems found."""

    exit_code = 3

    def __init__(self, problems: list[Problem] | str) -> None:
        self.problems: list[Problem] = [] if isinstance(problems, str) else problems
        text = problems if isinstance(problems, str) else "\n".join(map(str, problems))
        super().__init__(text)


class SecretError(ConfigError):
    """A secret that the configuration names is not available."""


class StoreError(MaskwatchError):
    """The database or its directory cannot be used."""

    exit_code = 4


class StoreTooNewError(StoreError):
    """The database was written by a newer version."""

    exit_code = 5


class StoreLockedError(StoreError):
    """Another daemon owns the data directory."""

    exit_code = 6


class StoreBusyError(StoreError):
    """Another program holds the database's lock; the write may work later."""


class StoreDamagedError(StoreError):
    """The file is not a sound database."""


class StoreDisplacedError(StoreDamagedError):
    """The open database's files were removed, or replaced."""


class DiskFullError(StoreError):
    """No space is left for what must be written."""


class AccessDeniedError(StoreError):
    """A file or directory that the daemon needs has the wrong owner or mode, or is of the wrong type."""


class ModelError(MaskwatchError):
    """A model cannot be used."""

    exit_code = 7


class ManifestError(ModelError):
    """The manifest is wrong, or the model does not match it."""


class WeightsError(ModelError):
    """The weights are missing, or are not the pinned ones."""


class SourceError(MaskwatchError):
    """A camera or a video file cannot be read."""

    exit_code = 8


class SourceRefusedError(SourceError):
    """No program listens at that address."""


class SourceUnreachableError(SourceError):
    """There is no route to the host, or its name is unknown."""


class SourceUnauthorizedError(SourceError):
    """The credentials are wrong or missing."""


class SourceLoginMethodError(SourceError):
    """The camera offers no method of authentication that may be used."""


class SourceRedirectedError(SourceError):
    """The camera redirects to a port that this process, in its sandbox, may not connect to."""

    exit_code = 16


class SourceNotFoundError(SourceError):
    """The server has no such stream, or the file does not exist."""


class SourceSilentError(SourceError):
    """The peer is connected, but nothing arrives in time."""


class SourceGarbageError(SourceError):
    """What arrives is not the protocol, or not a video."""


class SourceNoVideoError(SourceError):
    """The stream has no video track."""


class SourceNoKeyPictureError(SourceError):
    """No key picture has come yet, with which decoding could begin."""


class SourceOverloadError(SourceError):
    """Pictures come faster than this machine decodes them."""


class SourceTooLargeError(SourceError):
    """The pictures are larger than allowed, or need more memory than allowed."""


class SourceEndedError(SourceError):
    """The stream ended, which for a live camera is a failure."""


class PortInUseError(MaskwatchError):
    """Another program listens on that address."""

    exit_code = 9


class ControlError(MaskwatchError):
    """The daemon cannot be reached, or refused the command."""

    exit_code = 10


class DataError(MaskwatchError):
    """Training or evaluation data is not as expected."""

    exit_code = 11


class WireError(MaskwatchError):
    """A peer process sent an invalid message."""

    exit_code = 12


class DependencyError(MaskwatchError):
    """An optional part is not installed; the message says which extra to install."""

    exit_code = 13


class SinkError(MaskwatchError):
    """Alerts cannot be delivered to a broker or to people."""

    exit_code = 14


class TemporaryError(MaskwatchError):
    """What is needed is not available now; the same attempt can succeed later."""

    exit_code = 15
