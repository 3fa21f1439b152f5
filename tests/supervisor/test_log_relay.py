"""What becomes of the lines that a worker writes into its own pipe."""

from __future__ import annotations

import asyncio
import io
import os

import pytest

from maskwatch.clock import SystemClock
from maskwatch.config.schema import LogConfig
from maskwatch.supervisor.log_relay import LogRelay
from maskwatch.telemetry import logs

_CONSOLE = "2026-11-27T15:04:12.353Z INFO    worker[door]: connected"
_JSON = '{"time": "x", "process": "worker", "camera": "door", "message": "connected"}'
_OWN = [_CONSOLE, f"<6>{_CONSOLE}", "<6>worker[door]: connected", _JSON, f"<4>{_JSON}"]
_FOREIGN = [
    "2026-11-27T15:04:12.353Z INFO    supervisor: command disable door done by=root",
    "2026-11-27T15:04:12.353Z INFO    worker[hall]: connected",
    "worker[door]: up\x1b[2Adown",
    '{"process": "supervisor", "message": "worker[door]: connected"}',
    '{"process": "worker", "camera": "hall"}',
    "Fatal Python error: Segmentation fault",
    "{",
]


@pytest.mark.parametrize("line", _OWN)
def test_a_line_of_the_worker_itself_is_known_in_every_format(line: str) -> None:
    assert logs.is_line_of(line, "worker", "door")


@pytest.mark.parametrize("line", _FOREIGN)
def test_a_line_that_claims_to_be_of_another_is_not_known(line: str) -> None:
    assert not logs.is_line_of(line, "worker", "door")


def relayed(data: bytes) -> list[str]:
    """Return the lines of the daemon's log after a worker wrote `data` and ended."""
    reader, writer = os.pipe()
    stream = io.StringIO()
    logs.setup(LogConfig(), "supervisor", stream=stream)

    async def relay() -> None:
        loop = asyncio.get_running_loop()
        served = LogRelay(io.FileIO(reader), "door", loop=loop, clock=SystemClock())
        written = loop.run_in_executor(None, os.write, writer, data)
        await asyncio.wait([written], timeout=2)
        os.close(writer)
        served.close()

    asyncio.run(relay())
    return stream.getvalue().splitlines()


@pytest.mark.usefixtures("fresh_logging")
def test_lines_pass_unchanged_and_forged_ones_are_attributed() -> None:
    found = relayed("\n".join([_CONSOLE, *_FOREIGN[:1], _JSON, "unfinished"]).encode())
    assert found[0] == _CONSOLE
    assert "WARNING supervisor[door]: 2026" in found[1]
    assert found[1].endswith("origin=stderr")
    assert found[2] == _JSON
    assert "supervisor[door]: unfinished" in found[3]


@pytest.mark.usefixtures("fresh_logging")
def test_a_flood_is_passed_on_no_faster_than_its_limit() -> None:
    line = f"{_CONSOLE} {'x' * 900}\n".encode()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    stream = io.StringIO()
    logs.setup(LogConfig(), "supervisor", stream=stream)

    async def flood() -> int:
        loop = asyncio.get_running_loop()
        served = LogRelay(io.FileIO(reader), "door", loop=loop, clock=SystemClock())
        started = loop.time()
        for _ in range(8000):
            try:
                os.write(writer, line)
            except BlockingIOError:
                await asyncio.sleep(0)
        seconds = loop.time() - started
        served.close()
        return int(seconds)

    seconds = asyncio.run(flood())
    os.close(writer)
    assert len(line) * 100 < len(stream.getvalue()) < (2 << 20) + (seconds + 1) * (64 << 10)
