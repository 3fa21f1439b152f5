"""The commands of README.md, from a fresh clone, line by line as printed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import pytest

from tests.fakes.printed_commands import Shell, command_blocks, machine_of_its_own
from tests.fakes.quick_daemon import ROOT
from tests.fakes.waiting import wait_until

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

_README = ROOT / "README.md"
_INSTALLING = 2
"""Lines of the quick start that need package registries."""
# pip leaves byte code to the first import then, which saves a third of the time.
_PIP = {"PIP_NO_COMPILE": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def test_the_quick_start_works_as_pasted(tmp_path: Path, visitor: Path) -> None:
    two, start, other_shell = command_blocks(_README)
    assert [line.split("  ")[0] for line in two] == ["make demo", "make test"], ".ci/run runs these"
    clone = tmp_path / "maskwatch"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True, timeout=60)
    with closing(Shell(clone, **_PIP)) as shell:
        for line in start[:_INSTALLING]:
            assert_works(shell, line)
    with _surroundings(tmp_path, visitor) as prefix, ExitStack() as stack:
        first, second = (stack.enter_context(closing(Shell(clone, prefix))) for _ in range(2))
        for shell in (first, second):
            assert_works(shell, ". .venv/bin/activate")
        *lines, run = start[_INSTALLING:]
        for line in lines:
            assert_works(first, line)
        assert run == "maskwatch run"
        assert_works(first, f"{run} > daemon.log 2>&1 & daemon=$!")
        wait_until(lambda: "live" in second.run("maskwatch status")[1], 120, "the camera is live")
        for line in other_shell:
            assert_works(second, _ended(line))
        (clone / "clip.mp4").write_bytes(visitor.read_bytes())
        [replay] = re.findall(r"`(maskwatch replay clip\.mp4 .*?)`", _README.read_text("utf-8"))
        assert "1 violations" in assert_works(second, replay)
        assert_works(first, "kill $daemon; wait $daemon")


@contextmanager
def _surroundings(folder: Path, clip: Path) -> Iterator[tuple[str, ...]]:
    """Provide the camera of the README and a broker at its usual port, on a network of their own."""
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 localhost camera.example\n")
    with machine_of_its_own(hosts) as prefix:
        camera = [sys.executable, "-m", "maskwatch", "serve", f"s1={clip}", "--port", "554"]
        with (
            subprocess.Popen([*prefix, *camera], stdin=subprocess.PIPE, cwd=ROOT) as serving,
            subprocess.Popen([*prefix, "mosquitto"]) as broker,
        ):
            try:
                yield prefix
            finally:
                serving.kill()
                broker.kill()


def _ended(line: str) -> str:
    """Return the line such that one which prints until Ctrl-C ends after its first messages."""
    return line.replace("mosquitto_sub", "mosquitto_sub -W 5 -C 2") if "mosquitto_sub" in line else line


def assert_works(shell: Shell, line: str) -> str:
    """Return what a line prints."""
    code, printed = shell.run(line)
    assert code == 0, f"{line}: {printed}"
    return printed
