"""Cameras of every kind in the real daemon: each is live, and analysed at its rate and shape."""

from __future__ import annotations

import contextlib
import re
import time
from pathlib import Path

import pytest

from maskwatch.errors import ControlError
from tests.fakes.quick_daemon import QuickDaemon
from tests.fakes.waiting import SLACK
from tests.interop.cameras import ASPECTS, SIZE, Cameras
from tests.interop.matrix import Cell, pairwise, product

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]

_ANALYSED = 1.0
"""Frames a second."""
_WINDOW_S = 4.0
_PATIENT = "open_timeout: 40, stall_timeout: 20"
_BATCH = 24
_SAMPLE = list(pairwise())
_REST = [cell for cell in product() if cell not in _SAMPLE]
# Every server, codec, transport and login, and most of the rest.
_FEW = [
    Cell("lab", "h264", "tls", "sha256", "set", "narrow", "between"),
    Cell("lab", "mjpeg", "tcp", "basic", "slow", "square", "key"),
    Cell("gstreamer", "hevc", "udp", "md5", "right", "wide", "intra"),
    Cell("live555", "h264", "tcp", "md5", "right", "square", "intra"),
]


def test_a_camera_of_each_server_is_analysed(tmp_path: Path) -> None:
    assert_analysed(_FEW, tmp_path)


@pytest.mark.sweep
def test_each_pair_of_kinds_of_cameras_is_analysed(tmp_path: Path) -> None:
    assert_analysed(_SAMPLE, tmp_path)


@pytest.mark.sweep
@pytest.mark.parametrize("first", range(0, len(_REST), _BATCH))
def test_every_kind_of_camera_is_analysed(first: int, tmp_path: Path) -> None:
    assert_analysed(_REST[first : first + _BATCH], tmp_path)


def assert_analysed(cells: list[Cell], folder: Path) -> None:
    with Cameras.of(cells, folder) as cameras:
        rows = "\n".join(_row(cell, cameras.urls[cell.name]) for cell in cells)
        with QuickDaemon(folder, rows, stagger=0.0) as daemon:
            daemon.wait_ready(120)
            rates = _Rates(daemon, cells)
            rates.wait(90)
            assert daemon.stop() == 0
            log = daemon.log()
    shapes = {cell.name: _analysed_as(cell, log) for cell in cells}
    assert shapes == {cell.name: _shape(cell) for cell in cells}
    assert "CANARY" not in log
    assert "Traceback" not in log


def _row(cell: Cell, url: str) -> str:
    transport = "udp" if cell.transport == "udp" else "tcp"
    auth = "any" if cell.login == "basic" else "digest"
    more = f"transport: {transport}, auth: {auth}, tls_verify: false, rate: {_ANALYSED}, {_PATIENT}"
    return f"  - {{name: {cell.name}, url: '{url}', {more}}}"


class _Rates:
    """Waits until each camera is live and had its frames analysed at its rate for some seconds."""

    def __init__(self, daemon: QuickDaemon, cells: list[Cell]) -> None:
        self._daemon = daemon
        self._missing = {cell.name for cell in cells}
        self._counts: dict[str, list[tuple[float, int]]] = {name: [] for name in self._missing}

    def wait(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout * SLACK
        while self._missing:
            assert time.monotonic() < deadline, f"not analysed at their rate: {sorted(self._missing)}"
            time.sleep(0.2)
            with contextlib.suppress(ControlError):  # on a busy machine
                self._count(time.monotonic())

    def _count(self, now: float) -> None:
        for report in self._daemon.status().cameras:
            counts = self._counts[report.name]
            counts.append((now, report.frames))
            while now - counts[0][0] > _WINDOW_S + 0.5:
                counts.pop(0)
            passed, frames = now - counts[0][0], report.frames - counts[0][1]
            if report.state == "live" and passed >= _WINDOW_S:
                fits = _ANALYSED * passed - 1 <= frames <= _ANALYSED * passed + 1
                self._missing -= {report.name} if fits else set()


def _analysed_as(cell: Cell, log: str) -> str:
    found = re.search(rf"\[{cell.name}\].*analysed as (\d+ x \d+)", log)
    return found[1] if found else f"{SIZE[0]} x {SIZE[1]}"


def _shape(cell: Cell) -> str:
    aspect = ASPECTS[cell.pixels]
    return f"{round(SIZE[0] * max(aspect, 1))} x {round(SIZE[1] / min(aspect, 1))}"
