"""Read regular files of bounded size, replace files atomically, and write any file's name.

A path from a user may name `/dev/zero`, which has no end, or a named pipe, which blocks the reader.
Its name may be bytes that are not UTF-8, which Python holds as lone surrogates.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

import msgspec

from maskwatch.decoding import decode_json

T = TypeVar("T")

KIB = 1024
MIB = 1024 * KIB


def read_file(path: Path, max_bytes: int) -> bytes:
    """Return the contents of a regular file of up to `max_bytes` bytes; raise OSError for any other."""
    with open_regular(path) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        limit = f"{max_bytes // MIB} MiB" if max_bytes >= MIB else f"{max_bytes // KIB} KiB"
        raise OSError(errno.EFBIG, f"larger than {limit}", str(path))
    return data


def read_json(path: Path, max_bytes: int, type_: type[T]) -> T:
    """Return the decoded contents of a JSON file of up to `max_bytes` bytes.

    Raises:
        OSError: it cannot be read.
        msgspec.DecodeError: it is not JSON, or (ValidationError) does not match the type.
    """
    data = read_file(path, max_bytes)
    return decode_json(msgspec.json.Decoder(type_), data)


def printable(text: str) -> str:
    r"""Return `text` with the bytes of a name that are not UTF-8 escaped, as in `K\xfcche`."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # another lone surrogate
        return text.encode("utf-8", "backslashreplace").decode()


def json_text(value: object, *, indent: int = 0) -> str:
    """Return `value` as JSON; names that are not UTF-8 are written as `printable` returns them.

    With an `indent` of 0 the text is one line.
    """
    try:
        raw = msgspec.json.encode(value)
    except UnicodeEncodeError:
        raw = msgspec.json.encode(_all_printable(msgspec.to_builtins(value)))
    return (msgspec.json.format(raw, indent=indent) if indent else raw).decode()


def _all_printable(value: Any) -> Any:
    match value:
        case str():
            return printable(value)
        case list() | tuple():
            return [_all_printable(item) for item in value]
        case dict():
            return {_all_printable(key): _all_printable(item) for key, item in value.items()}
        case _:
            return value


def ffmpeg_name(path: str | Path) -> str:
    """Return the name of a file for FFmpeg, which takes the text before a colon for a protocol."""
    return f"file:{path}"


def open_regular(path: Path) -> BinaryIO:
    """Open a regular file, or a link to one, for reading; raise OSError for any other."""
    _require_regular(path.stat(), path)  # before: to open a device may set it going
    # Another file may be there meanwhile: without O_NONBLOCK, a pipe would wait for its writer.
    file = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb")
    try:
        _require_regular(os.fstat(file.fileno()), path)
    except OSError:
        file.close()
        raise
    return file


_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def _require_regular(status: os.stat_result, path: Path) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise OSError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "another kind of file")
        raise OSError(errno.EINVAL, f"Not a regular file but {kind}", str(path))


def replace_file(path: Path, data: bytes) -> None:
    """Replace the contents of a file atomically, or create it.

    A reader finds the complete old or new contents, also after a power cut. Owner, group and mode
    are kept; for a symbolic link its target is replaced.

    Raises:
        OSError: the file cannot be written; the old file is unchanged.
    """
    real = path.resolve()
    handle, name = tempfile.mkstemp(prefix=f".{real.name}.", dir=real.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            _copy_permissions(real, file.fileno())
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(real)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
        raise
    fsync_directory(real.parent)


def _copy_permissions(old: Path, handle: int) -> None:
    try:
        status = old.stat()
    except FileNotFoundError:
        umask = os.umask(0o077)
        os.umask(umask)
        os.fchmod(handle, 0o666 & ~umask)
        return
    if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
        os.fchown(handle, status.st_uid, status.st_gid)
    os.fchmod(handle, status.st_mode & 0o7777)


def fsync_directory(path: Path) -> None:
    """Make the directory's entries durable."""
    _fsync(path, os.O_DIRECTORY)


def fsync_file(path: Path) -> None:
    """Make the file's contents durable, also those that an ended process wrote."""
    _fsync(path, 0)


def fsync_ancestors(path: Path) -> None:
    """Make the names of a directory and of those above it durable, as far as they may be opened.

    A directory above it that is on another disk existed before.
    """
    device = path.stat().st_dev
    for folder in path.resolve().parents:
        if folder.stat().st_dev != device:
            return
        with contextlib.suppress(PermissionError):  # then it was created by somebody else
            fsync_directory(folder)


def _fsync(path: Path, flags: int) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | flags)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
