"""Faults of the machine can pass by themselves, those of the configuration cannot."""

from __future__ import annotations

import errno
import socket

import pytest

from maskwatch.errors import (
    ConfigError,
    DiskFullError,
    ModelError,
    StoreError,
    StoreTooNewError,
    TemporaryError,
)
from maskwatch.temporary import is_temporary


def caused_by(cause: BaseException) -> Exception:
    error = ConfigError("x")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        TemporaryError("x"),
        DiskFullError("x"),
        MemoryError(),
        RuntimeError("can't start new thread"),
        socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
        caused_by(OSError(errno.EADDRNOTAVAIL, "x")),
        caused_by(caused_by(FileNotFoundError(errno.ENOENT, "x"))),
    ],
)
def test_a_fault_of_the_machine_can_pass(error: Exception) -> None:
    assert is_temporary(error)


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("x"),
        ModelError("x"),
        StoreError("x"),
        StoreTooNewError("x"),
        RuntimeError("x"),
        caused_by(NotADirectoryError(errno.ENOTDIR, "x")),
        caused_by(OSError(errno.ENAMETOOLONG, "x")),
    ],
)
def test_a_wrong_value_stays_wrong(error: Exception) -> None:
    assert not is_temporary(error)
