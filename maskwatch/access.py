"""Whether this user may use the files and directories that the daemon needs, and the remedy if not.

A wrong owner or mode does not pass by itself, unlike a path that is missing or read-only for now: that
is no fault here.
"""

from __future__ import annotations

import grp
import os
import pwd
import shlex
import stat
from collections.abc import Callable
from pathlib import Path

from maskwatch.errors import AccessDeniedError

_WORDS = {
    os.R_OK: "read it",
    os.R_OK | os.W_OK: "read and write it",
    os.R_OK | os.X_OK: "list it",
    os.R_OK | os.W_OK | os.X_OK: "list it and create files in it",
}


def require_directory(path: Path, root: Path | None = None, *, write: bool = True) -> None:
    """Raise AccessDeniedError unless this user may list a directory, and (`write`) change it.

    A missing one is not checked. `root`: the directory whose owner and mode the remedy corrects.
    """
    need = os.R_OK | os.X_OK | (os.W_OK if write else 0)
    _require(path, root or path, need, directory=True)


def require_file(path: Path, root: Path, *, write: bool = True) -> None:
    """Raise AccessDeniedError unless this user may read a file, and (`write`) change it; see above."""
    _require(path, root, os.R_OK | (os.W_OK if write else 0), directory=False)


def require_replaceable(path: Path) -> None:
    """Raise AccessDeniedError if `path` exists and this user may not remove it.

    The directory is this user's to change; with the sticky bit, files of others stay.
    """
    status, folder = _lstat(path), _lstat(path.parent)
    if status is None or folder is None:
        return
    if stat.S_ISDIR(status.st_mode):
        raise AccessDeniedError(f"{path} is a directory: remove it, or set another runtime_dir")
    users = {os.geteuid(), 0}
    sticky = folder.st_mode & stat.S_ISVTX
    if sticky and os.geteuid() != 0 and not users & {status.st_uid, folder.st_uid} - {0}:
        raise AccessDeniedError(
            f"cannot replace {path}: {_owner_and_mode(status)}, and its directory has the sticky bit; "
            f"{_this_user()} must own it; run as root: rm {shlex.quote(str(path))}"
        )


def explain(path: Path, *, write: bool) -> str:
    """Return why a command of this user may not use a path, "" if owner and mode permit it."""
    fault, _ = _fault(path, os.R_OK)
    if not fault:
        target = path if path.exists() else path.parent
        need = os.R_OK | (os.W_OK if write else 0) | (os.X_OK if target.is_dir() else 0)
        fault, _ = _fault(target, need)
    return f"{fault}; run this command as the owner or as root" if fault else ""


def creation_remedy(path: Path) -> str:
    """Return whose directory a missing one cannot be created in, and the command that creates it."""
    parent = next((each for each in path.parents if _lstat(each)), Path("/"))
    return (
        f"{parent} {_owner_and_mode(parent.stat())}; {_this_user()} cannot create files in it; run as "
        f"root: install -d -o {_user_name()} -m 0700 {shlex.quote(str(path))}"
    )


def _require(path: Path, root: Path, need: int, *, directory: bool) -> None:
    unreachable, _ = _fault(path, os.F_OK)
    if not unreachable and path.exists() and path.is_dir() != directory:
        wrong, right = ("a file", "a directory") if directory else ("a directory", "a file")
        raise AccessDeniedError(f"cannot use {path}: it is {wrong}, expected {right}; move it away")
    fault, closed = _fault(path, need)
    if fault:
        remedy = f"chmod a+x {shlex.quote(str(closed))}" if closed else _remedy(root)
        raise AccessDeniedError(f"{fault}; start maskwatch as the owner, or run as root: {remedy}")


def _fault(path: Path, need: int) -> tuple[str, Path | None]:
    """Return what prevents the access, "" for nothing, and the directory above that is closed."""
    for folder in reversed(path.absolute().parents):
        if folder.exists() and not folder.is_dir():
            raise AccessDeniedError(f"cannot use {path}: {folder} is not a directory; move it away")
        if folder.exists() and not os.access(folder, os.X_OK, effective_ids=True):
            rights = f"{_owner_and_mode(folder.stat())}; {_this_user()} must be able to pass through it"
            return f"cannot reach {path}: {folder} {rights}", folder
    if not path.exists() or _may(path, need):
        return "", None
    rights = f"{_owner_and_mode(path.stat())}; {_this_user()} must be able to {_WORDS[need]}"
    return f"cannot use {path}: it {rights}", None


def _may(path: Path, need: int) -> bool:
    """Return what owner and mode allow: a file system that is read-only now may become writable."""
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        need &= ~os.W_OK
    return os.access(path, need, effective_ids=True)


def _remedy(root: Path) -> str:
    real = root.resolve()
    if len(real.parts) < 3:  # such as /tmp or /run, which others use too
        return f"mkdir {real}/maskwatch && chown {_user_name()} {real}/maskwatch, and configure it"
    quoted = shlex.quote(str(real))
    change = f"chown -R {_user_name()} {quoted}"
    mode = f"chmod -R u+rwX {quoted}"
    return f"{change} && {mode}"


def _owner_and_mode(status: os.stat_result) -> str:
    owner = _named(lambda: pwd.getpwuid(status.st_uid).pw_name, status.st_uid)
    group = _named(lambda: grp.getgrgid(status.st_gid).gr_name, status.st_gid)
    return f"belongs to {owner}:{group} and has mode {stat.S_IMODE(status.st_mode):04o}"


def _this_user() -> str:
    return f"the user {_user_name()} of this process"


def _user_name() -> str:
    uid = os.geteuid()
    return _named(lambda: pwd.getpwuid(uid).pw_name, uid)


def _named(look_up: Callable[[], str], number: int) -> str:
    try:
        return look_up()
    except KeyError:
        return str(number)


def _lstat(path: Path) -> os.stat_result | None:
    try:
        return path.lstat()
    except OSError:
        return None
