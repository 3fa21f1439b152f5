"""A reader that was stopped catches up, instead of lagging from then on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from maskwatch.lab.rtsp import RtspServer

_READER = """
import sys, time
from maskwatch.capture.container import StreamOptions
from maskwatch.capture.rtsp import RtspSource
from maskwatch.secrets import SecretUrl
from tests.fakes.clips import number_of

options = StreamOptions(SecretUrl(sys.argv[1]), stall_timeout=20.0)
with RtspSource(options, rate=25) as source:
    while frame := source.read(options.open_timeout):
        print(number_of(frame.image), time.monotonic(), flush=True)
"""


@pytest.mark.long
def test_after_a_pause_the_picture_is_current_again(clip_of: Callable[..., Path], root: Path) -> None:
    with RtspServer() as server:
        server.add("hall", clip_of(frames=1000, gop=25))
        command = [sys.executable, "-c", _READER, server.url("hall")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as reader:
            assert reader.stdout is not None
            try:
                for _ in range(25):
                    assert reader.stdout.readline()
                reader.send_signal(signal.SIGSTOP)
                time.sleep(6.0)
                reader.send_signal(signal.SIGCONT)
                end = time.monotonic() + 3.0
                while time.monotonic() < end:
                    number, at = reader.stdout.readline().split()
            finally:
                reader.kill()
        started = server.started("hall")
    assert started is not None
    behind = float(at) - started.monotonic - int(number) / 25
    assert behind < 2.5
