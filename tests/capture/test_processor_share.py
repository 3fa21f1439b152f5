"""A stream that is expensive to decode gets its share of a busy processor, and all of an idle one."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from maskwatch.capture.processor_share import ProcessorShare
from maskwatch.lab.rtsp import RtspServer
from tests.fakes import hostile_pictures


class Thread:
    """A thread that wants all of a processor, beside others or alone."""

    def __init__(self, share: float, *, contended: bool) -> None:
        self.now = self.used = self.waited = 0.0
        self._contended = contended
        self._share = ProcessorShare(share, cpu_time=lambda: self.used, waited=lambda: self.waited)

    def work(self, seconds: float) -> float:
        """Work until `seconds` have passed; return the share that it used in them."""
        begun, used = self.now, self.used
        while self.now - begun < seconds:
            self.now += 0.01
            self.used += 0.01
            self.waited += 0.005 if self._contended else 0.0
            self.now += self._share.pause(self.now)
        return (self.used - used) / (self.now - begun)


def test_an_idle_processor_is_used_whole() -> None:
    assert Thread(0.25, contended=False).work(20) == pytest.approx(1.0)


def test_a_busy_processor_is_shared() -> None:
    thread = Thread(0.25, contended=True)
    thread.work(5)
    assert thread.work(20) == pytest.approx(0.25, abs=0.03)


_WATCH = """
import json, sys, threading, time
from maskwatch.capture.container import StreamOptions
from maskwatch.capture.rtsp import RtspSource
from maskwatch.secrets import SecretUrl

options = StreamOptions(SecretUrl(sys.argv[1]), open_timeout=30, stall_timeout=30, processor_share=0.1)
with RtspSource(options) as source:
    source.read(0.1)
    time.sleep(6)
    begun, used = time.monotonic(), time.process_time()
    time.sleep(6)
    print(json.dumps((time.process_time() - used) / (time.monotonic() - begun)))
"""


@pytest.mark.long
def test_a_thousand_pictures_a_second_take_their_share_of_a_busy_processor() -> None:
    processor = {min(os.sched_getaffinity(0))}
    own = os.sched_getaffinity(0)
    clip = hostile_pictures.clip([(320, 240)] * 1000, rate=1000)
    with RtspServer() as server:
        server.add("hall", clip)
        os.sched_setaffinity(0, processor)  # inherited by the two children
        try:
            busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
            watch = subprocess.Popen(
                [sys.executable, "-c", _WATCH, server.url("hall")], stdout=subprocess.PIPE
            )
        finally:
            os.sched_setaffinity(0, own)
        try:
            out, _ = watch.communicate(timeout=120)
        finally:
            busy.kill()
            busy.wait(10)
    assert json.loads(out) < 0.25
