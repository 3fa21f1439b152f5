"""The lock files, and what is read from them."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path

import pytest

from tools.supply_chain.locks import REQUIREMENTS, SETS, licence_of, lock_file, needs, read_lock, spdx
from tools.supply_chain.release_dates import known_dates

# What builds, packs or installs packages. None of it has a place where the service runs.
_BUILD_TOOLS = {
    "build", "cmake", "cython", "editables", "flit-core", "hatchling", "maturin", "meson",
    "meson-python", "ninja", "pip", "poetry-core", "pybind11", "scikit-build-core", "setuptools",
    "setuptools-scm", "trove-classifiers", "uv", "wheel",
}  # fmt: skip

every_lock = pytest.mark.parametrize("path", sorted(REQUIREMENTS.glob("*.txt")), ids=lambda p: p.stem)


@every_lock
def test_lock_files_name_neither_a_host_nor_a_path(path: Path) -> None:
    text = path.read_text("utf-8")
    assert re.findall(r"\w+://\S*|--(?:extra-)?index-url|--find-links|(?<!\S)/\S+", text) == []


@every_lock
def test_every_locked_version_has_hashes(path: Path) -> None:
    assert len(read_lock(path)) > 0


@pytest.mark.parametrize("name", ["run", "image"])
def test_nothing_that_runs_needs_a_build_tool(name: str) -> None:
    assert {each.name for each in read_lock(lock_file(name))} & _BUILD_TOOLS == set()


def test_no_installed_package_of_the_image_requires_what_its_lock_lacks() -> None:
    locks = read_lock(lock_file("image"))
    names = {each.name for each in locks}
    missing = {each.name: needs(each.distribution) - names for each in locks if each.distribution}
    assert {name: lacks for name, lacks in missing.items() if lacks} == {}


@pytest.mark.parametrize("name", SETS)
def test_every_locked_version_has_its_release_date(name: str) -> None:
    assert [each.pin for each in read_lock(lock_file(name)) if each.pin not in known_dates()] == []


@pytest.mark.parametrize("line", ["click>=8 --hash=sha256:" + "0" * 64, "click==8.1.7"])
def test_an_entry_without_version_or_hash_is_refused(tmp_path: Path, line: str) -> None:
    lock = tmp_path / "run.txt"
    lock.write_text(line + "\n")
    with pytest.raises(ValueError, match="click"):
        read_lock(lock)


def test_entries_of_other_platforms_are_left_out(tmp_path: Path) -> None:
    lock = tmp_path / "run.txt"
    lock.write_text(f"colorama==0.4.6 ; sys_platform == 'win32' \\\n    --hash=sha256:{'0' * 64}\n")
    assert read_lock(lock) == []


def test_licences_are_spdx_expressions() -> None:
    assert licence_of(metadata.distribution("numpy")) is not None
    assert spdx("EPL-2.0 OR BSD-3-Clause") == "EPL-2.0 OR BSD-3-Clause"
    assert spdx("see the file COPYING") is None
