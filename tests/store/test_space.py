"""Which resource a failed write lacked."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from maskwatch.store import space
from maskwatch.store.space import find_shortage, shortage


@pytest.mark.parametrize(
    ("code", "inodes", "expected"),
    [
        (errno.ENOSPC, 5, "no space"),
        (errno.ENOSPC, 0, "no inodes"),
        (errno.ENOSPC, None, "no space"),
        (errno.EDQUOT, 5, "quota"),
        (errno.EACCES, 0, ""),
    ],
)
def test_what_failed_decides(
    code: int, inodes: int | None, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(space, "free_inodes", lambda _: inodes)
    found = shortage(OSError(code, "x"), tmp_path)
    assert expected in found
    assert bool(found) == bool(expected)


def test_a_probe_finds_no_shortage_where_there_is_room(tmp_path: Path) -> None:
    assert find_shortage(tmp_path) == ""
    assert list(tmp_path.iterdir()) == []
