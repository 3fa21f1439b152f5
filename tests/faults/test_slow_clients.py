"""Slow HTTP clients do not close the pages of the real daemon to others."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from maskwatch.lab.broker import free_port
from tests.fakes.dripping_clients import DrippingClients
from tests.fakes.quick_daemon import IDLE_CAMERA, QuickDaemon
from tests.fakes.waiting import SLACK, wait_until

KEY = "a key for tests of thirty-two chars"


def status_of(url: str) -> int:
    """Return the HTTP status of a page; it must come within a second."""
    began = time.monotonic()
    try:
        with urllib.request.urlopen(url, timeout=10 * SLACK) as answer:
            status: int = answer.status
    except urllib.error.HTTPError as error:
        with error:
            status = error.code
    assert time.monotonic() - began < 2.0 * SLACK  # the deadline of a slow client is 10 s
    return status


def test_dripping_clients_do_not_close_the_daemon_s_pages_to_others(tmp_path: Path) -> None:
    links = free_port()
    more = f"mqtt: {{enabled: false}}\nlinks: {{enabled: true, port: {links}, key: '${{LINKS}}'}}"
    with QuickDaemon(tmp_path, IDLE_CAMERA, more, {"LINKS": KEY}) as daemon:
        wait_until(daemon.is_serving)
        with DrippingClients(daemon.metrics_port, 100), DrippingClients(links, 100):
            for _ in range(3):
                assert status_of(f"http://127.0.0.1:{daemon.metrics_port}/healthz") == 200
                assert status_of(f"http://127.0.0.1:{daemon.metrics_port}/metrics") == 200
                assert status_of(f"http://127.0.0.1:{links}/acknowledge/") == 404
        with ThreadPoolExecutor(64) as pool:
            scrapes = [pool.submit(daemon.fetch, "metrics") for _ in range(300)]
            wait_until(lambda: any(each.done() for each in scrapes), what="the first of many scrapes")
            for _ in range(3):
                assert status_of(f"http://127.0.0.1:{daemon.metrics_port}/healthz") == 200
        assert daemon.stop() == 0
