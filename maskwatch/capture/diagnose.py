"""Maps FFmpeg's errors to `SourceError`: what went wrong, in plain words, without secrets.

FFmpeg puts the whole URL, password included, into its errors; so none of their text is used, and
they are not chained.
"""

from __future__ import annotations

import errno
import os

import av

from maskwatch.errors import (
    SourceEndedError,
    SourceError,
    SourceGarbageError,
    SourceLoginMethodError,
    SourceNoKeyPictureError,
    SourceNotFoundError,
    SourceNoVideoError,
    SourceOverloadError,
    SourceRedirectedError,
    SourceRefusedError,
    SourceSilentError,
    SourceTooLargeError,
    SourceUnauthorizedError,
    SourceUnreachableError,
)

_REASONS: dict[type[SourceError], str] = {
    SourceRefusedError: "refused",
    SourceUnreachableError: "unreachable",
    SourceUnauthorizedError: "unauthorized",
    SourceLoginMethodError: "login_method",
    SourceRedirectedError: "redirected",
    SourceNotFoundError: "not_found",
    SourceSilentError: "silent",
    SourceGarbageError: "garbage",
    SourceNoVideoError: "no_video",
    SourceNoKeyPictureError: "no_key_picture",
    SourceOverloadError: "late",
    SourceTooLargeError: "too_large",
    SourceEndedError: "ended",
}
_MEANINGS: tuple[tuple[tuple[type[Exception], ...], type[SourceError], str], ...] = (
    (
        (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError),
        SourceUnauthorizedError,
        "user name or password is wrong or missing",
    ),
    (
        (av.error.HTTPNotFoundError, FileNotFoundError),
        SourceNotFoundError,
        "there is no such stream or file; check the path",
    ),
    (
        (av.error.HTTPError, av.error.HTTPClientError, av.error.HTTPServerError),
        SourceError,
        "the camera answered with an error; it may be overloaded, or not offer this transport",
    ),
    ((ConnectionRefusedError,), SourceRefusedError, "connection refused; check address and port"),
    ((av.error.EOFError,), SourceEndedError, "the stream ended"),
    (
        (MemoryError,),
        SourceTooLargeError,
        "the pictures need more memory than allowed (supervision.worker_megabytes); use a sub-stream",
    ),
)
# FFmpeg's log is more specific than its error; its last line comes with the error.
_TIMEOUTS = (TimeoutError, av.error.ExitError)
_TIMEOUT_SHARE = 0.9
_ERRNO_MEANINGS: tuple[tuple[tuple[int, ...], type[SourceError], str], ...] = (
    (
        (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL),
        SourceUnreachableError,
        "no route to the host; check address and network",
    ),
    (
        (errno.ECONNRESET, errno.EPIPE, errno.ECONNABORTED),
        SourceEndedError,
        "the camera closed the connection",
    ),
    (
        (errno.EIO,),
        SourceUnreachableError,
        "the connection failed; check address and network",
    ),
    ((errno.ENOENT,), SourceGarbageError, "the camera's answers are invalid"),
    ((errno.EISDIR,), SourceNotFoundError, "a directory, expected a video file"),
    ((errno.EACCES, errno.EPERM), SourceError, "permission denied; check the permissions"),
)


def reason_of(error: SourceError) -> str:
    """Return the short word for an error, one of a closed set, for metrics and states."""
    return _REASONS.get(type(error), "other")


def diagnose(error: Exception, where: str, waited: float, timeout: float) -> SourceError:
    """Return what an error of FFmpeg means, that of a call which took `waited` seconds.

    After `timeout` seconds FFmpeg ends the call; it reports even that as invalid data.
    """
    if isinstance(error, SourceError):
        return error
    # For a camera, FFmpeg reports garbage as "no such file"; a missing stream is an HTTP 404.
    garbage = isinstance(error, FileNotFoundError) and "://" in where
    for kinds, outcome, text in _MEANINGS:
        if isinstance(error, kinds) and not garbage:
            return outcome(f"{where}: {text}")
    if isinstance(error, _TIMEOUTS) or waited >= timeout * _TIMEOUT_SHARE:
        return SourceSilentError(f"{where}: nothing usable arrived within {waited:.0f} s")
    if isinstance(error, OSError):
        return _from_errno(error.errno or 0, where)
    return SourceGarbageError(
        f"{where}: the data received is not video, or the camera closed the connection"
    )


def _from_errno(number: int, where: str) -> SourceError:
    for numbers, outcome, text in _ERRNO_MEANINGS:
        if number in numbers:
            return outcome(f"{where}: {text}")
    return SourceError(f"{where}: {os.strerror(number)}")
