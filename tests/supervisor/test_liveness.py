"""A supervisor that can start no process, open nothing or answer nothing is not alive."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from pathlib import Path

import pytest

from maskwatch.supervisor import liveness
from maskwatch.supervisor.liveness import Liveness

# As another user, since limits of processes do not hold for root. Everything is imported before.
_LIMITED = """
import asyncio, os, resource
from pathlib import Path
from maskwatch.supervisor.liveness import Liveness
async def main():
    made = Liveness(Path("/nowhere"))
    print(await made.check(), end=" ")
    {limit}
    print(await made.check(), made.fault)
asyncio.run(main())
"""
_LIMITS = {
    "Too many open files": "resource.setrlimit(resource.RLIMIT_NOFILE, (8, 8))",
    "Resource temporarily unavailable": (
        "os.setgroups([]); os.setuid(65534); resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))"
    ),
}


@pytest.mark.parametrize("reason", _LIMITS)
def test_without_descriptors_or_processes_it_is_not_alive(reason: str) -> None:
    code = _LIMITED.format(limit=_LIMITS[reason])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("True False ")
    assert reason in done.stdout


def test_a_control_socket_that_does_not_answer_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(liveness, "_TIMEOUT", 0.3)
    answers = False

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            await reader.readline()
            if answers:
                writer.write(b"{}\n")
            await reader.read()  # until the peer has closed

    async def check() -> None:
        nonlocal answers
        made = Liveness(tmp_path / "control.sock")
        async with await asyncio.start_unix_server(serve, tmp_path / "control.sock"):
            assert not await made.check()
            assert made.fault
            answers = True
            monkeypatch.setattr(liveness, "_TIMEOUT", 60.0)  # a slow machine is no fault
            assert await made.check()
            assert not made.fault

    asyncio.run(check())
