"""Runs the cases of ../shared/field, which were written against earlier names of modules."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

# `maskwatch.testing` is `maskwatch.lab` now.
_RENAMED = """
import importlib, importlib.abc, importlib.util, sys

class Renamed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if (name + ".").startswith("maskwatch.testing."):
            return importlib.util.spec_from_loader(name, self)

    def create_module(self, spec):
        return importlib.import_module(spec.name.replace("maskwatch.testing", "maskwatch.lab", 1))

    def exec_module(self, module):
        pass

sys.meta_path.insert(0, Renamed())
"""

# The cases give a daemon some seconds for each step: too few on a busy machine.
_PATIENT_SLEEP = """#!/bin/sh
test "$1" -lt 8 || set -- $(($1 * 3))
exec /bin/sleep "$1"
"""


def run_case(case: Path, folder: Path, prefix: tuple[str, ...]) -> str:
    """Run the case's repro.sh in a copy; return what it prints. `prefix` is a command that runs it."""
    copy = folder / case.name
    shutil.copytree(case, copy)
    copy.chmod(0o700)
    for path in copy.iterdir():
        path.chmod(0o700)
    (folder / "sitecustomize.py").write_text(_RENAMED)
    (folder / "programs").mkdir()
    sleep = folder / "programs" / "sleep"
    sleep.write_text(_PATIENT_SLEEP)
    sleep.chmod(0o700)
    programs = f"{sleep.parent}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    begin = 'cd "$0" && exec sh repro.sh'
    done = subprocess.run(
        [*prefix, "sh", "-c", begin, str(copy)],
        env={**os.environ, "PATH": programs, "PYTHONPATH": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=600,
        check=False,
    )
    return done.stdout.decode(errors="backslashreplace")
