"""Runs the command lines that a page prints, as somebody does who pastes them into a shell."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_BLOCK = re.compile(r"^( *)```sh\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
_MARK = "--- done"


def command_blocks(page: Path) -> list[list[str]]:
    """Return the lines of each block of commands of a page, in order."""
    blocks = []
    for indent, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        lines = (line.removeprefix(indent) for line in text.splitlines())
        blocks.append([line for line in lines if line.strip()])
    return blocks


class Shell:
    """A shell that stays open from line to line; `prefix` is the command that starts it elsewhere."""

    def __init__(self, folder: Path, prefix: tuple[str, ...] = (), **env: str) -> None:
        self._process = subprocess.Popen(
            [*prefix, "bash", "--norc"],
            cwd=folder,
            env={**os.environ, **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.run(f"cd {shlex.quote(str(folder))}")  # a prefix may lead elsewhere

    def run(self, line: str) -> tuple[int, str]:
        """Run a line; return its exit code and what it printed."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f'{line}\necho "{_MARK} $?"\n')
        self._process.stdin.flush()
        printed = []
        for found in self._process.stdout:
            if found.startswith(_MARK):
                return int(found.split()[-1]), "".join(printed)
            printed.append(found)
        raise AssertionError(f"the shell ended at {line!r}: {''.join(printed)}")

    def close(self) -> None:
        self._process.communicate(timeout=60)  # the end of its input ends it


@contextmanager
def machine_of_its_own(hosts: Path) -> Iterator[tuple[str, ...]]:
    """Yield the prefix of commands with a network, /run and /var/lib of their own, and these hosts."""
    begin = """
        mount --bind "$0" /etc/hosts && mount -t tmpfs none /run && mount -t tmpfs none /var/lib &&
        ip link set lo up && echo ready && exec sleep infinity"""
    command = ["unshare", "--mount", "--net", "sh", "-c", begin, str(hosts)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "ready\n"
            yield ("nsenter", "--target", str(holder.pid), "--mount", "--net")
        finally:
            holder.kill()
