"""Which paths an ordinary user may use, and what the refusal says."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from maskwatch.access import explain, require_directory, require_file, require_replaceable
from maskwatch.errors import AccessDeniedError, StoreError
from maskwatch.temporary import is_temporary
from tests.fakes.service_user import UID, as_service_user, give, service_environment


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the ordinary user."""
    with tempfile.TemporaryDirectory(prefix="maskwatch-") as name:
        give(Path(name))
        yield Path(name)


def refusal(call: str, *paths: Path) -> str:
    """Return what a function of `access` says to the ordinary user, "" if it refuses nothing."""
    code = (
        "import sys; from pathlib import Path; from maskwatch import access, errors\n"
        f"try: access.{call}(*map(Path, sys.argv[1:]))\n"
        "except errors.AccessDeniedError as error: print(error)"
    )
    done = subprocess.run(
        as_service_user("-c", code, *map(str, paths)),
        env=service_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


def test_a_closed_directory_above_is_named_with_its_remedy(folder: Path) -> None:
    inner = folder / "closed" / "inner"
    inner.mkdir(parents=True)
    (folder / "closed").chmod(0o700)
    said = refusal("require_directory", inner)
    assert f"cannot reach {inner}: {folder}/closed belongs to root:root and has mode 0700" in said
    assert said.endswith(f"chmod a+x {folder}/closed")


def test_a_remedy_never_changes_the_owner_of_a_directory_that_others_use() -> None:
    said = refusal("require_directory", Path("/usr"))
    assert "chown -R" not in said
    assert f"mkdir /usr/maskwatch && chown {UID} /usr/maskwatch" in said


def test_a_file_of_another_user_in_a_sticky_directory_cannot_be_replaced(folder: Path) -> None:
    shared = folder / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    socket = shared / "control.sock"
    socket.touch()
    said = refusal("require_replaceable", socket)
    assert f"cannot replace {socket}" in said
    assert said.endswith(f"rm {socket}")
    shared.chmod(0o777)
    assert refusal("require_replaceable", socket) == ""


def test_a_missing_path_is_no_fault(tmp_path: Path) -> None:
    require_directory(tmp_path / "missing")
    require_file(tmp_path / "missing", tmp_path)
    require_replaceable(tmp_path / "missing")
    assert explain(tmp_path / "missing", write=True) == ""


def test_a_file_in_the_place_of_a_directory_and_the_reverse_are_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(AccessDeniedError, match="it is a file, expected a directory"):
        require_directory(file)
    with pytest.raises(AccessDeniedError, match="it is a directory, expected a file"):
        require_file(tmp_path, tmp_path)
    with pytest.raises(AccessDeniedError, match="is not a directory"):
        require_directory(file / "below")
    with pytest.raises(AccessDeniedError, match="is a directory"):
        require_replaceable(tmp_path)


def test_a_wrong_owner_does_not_pass_by_itself() -> None:
    assert AccessDeniedError.exit_code == StoreError.exit_code
    assert not is_temporary(AccessDeniedError("x"))


def test_root_may_use_what_belongs_to_others(tmp_path: Path) -> None:
    os.chown(tmp_path, UID, UID)
    require_directory(tmp_path)
