"""The page that acknowledge links lead to: fetching it does nothing, its button acknowledges."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from maskwatch.alerts.notify.ack_links import AckTokenSigner
from maskwatch.config.schema import CameraConfig, Config, LinksConfig
from maskwatch.errors import PortInUseError
from maskwatch.ipc.messages import Command, CommandResult
from maskwatch.lab.broker import free_port
from maskwatch.secrets import Secret, SecretUrl
from maskwatch.supervisor.ack_page import AckPageServer
from maskwatch.supervisor.commands import Reply

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
# A UUIDv7 begins with its milliseconds.
VIOLATION = UUID(f"{int(NOW.timestamp() * 1000):012x}70008000000000000001")
KEY = Secret("a key for tests of thirty-two chars")


class Harness:
    """A server of the page, and the commands that it ran."""

    def __init__(self) -> None:
        self.now = NOW
        self.commands: list[Command] = []
        self.result: CommandResult | None = CommandResult(id="", ok=True, detail="acknowledged")
        camera = CameraConfig(name="door", url=SecretUrl("rtsp://x/1"))
        links = LinksConfig(enabled=True, key=KEY, port=free_port())
        self.config = Config(node="gate", cameras=(camera,), links=links)
        self.server = AckPageServer(lambda: self.now, self.run, timeout=0.5)

    def run(self, command: Command, reply: Reply) -> None:
        self.commands.append(command)
        if self.result is not None:
            reply(msgspec.structs.replace(self.result, id=command.id))

    def link(self, channel: str = "guards") -> str:
        signer = AckTokenSigner.of(self.config)
        assert signer is not None
        return signer.url(VIOLATION, channel, NOW)

    def with_port(self, port: int) -> Config:
        links = msgspec.structs.replace(self.config.links, port=port)
        return msgspec.structs.replace(self.config, links=links)


@pytest.fixture
def harness() -> Iterator[Harness]:
    made = Harness()
    made.server.serve(made.config)
    yield made
    made.server.stop()


def fetch(url: str, method: str = "GET", data: bytes | None = None) -> tuple[int, str, dict[str, str]]:
    request = urllib.request.Request(url, method=method, data=data)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), dict(error.headers)


def test_fetching_a_link_shows_a_button_and_does_nothing(harness: Harness) -> None:
    """A mail scanner fetches every link that it sees."""
    for method in ("GET", "HEAD"):
        status, page, _ = fetch(harness.link(), method)
        assert status == 200
    page = fetch(harness.link())[1]
    assert '<form method="post">' in page
    assert "2026-03-01 12:00:00 UTC" in page
    assert "guards" in page
    assert str(VIOLATION) in page
    assert harness.commands == []


def test_the_button_acknowledges_in_the_name_of_the_channel(harness: Harness) -> None:
    status, page, _ = fetch(harness.link(), "POST", b"")
    assert status == 200
    assert "It is acknowledged." in page
    (command,) = harness.commands
    assert (command.verb, command.target, command.origin) == (
        "acknowledge",
        str(VIOLATION),
        "link:guards",
    )


def test_a_link_used_again_shows_who_acknowledged_first(harness: Harness) -> None:
    fetch(harness.link(), "POST", b"")
    harness.result = CommandResult(id="", ok=True, detail="acknowledged before, at 12:00 by link:guards")
    status, page, _ = fetch(harness.link(), "POST", b"")
    assert status == 200
    assert "acknowledged before, at 12:00 by link:guards" in page


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_altered_link_does_nothing(harness: Harness, method: str) -> None:
    altered = harness.link().replace(VIOLATION.hex, f"{VIOLATION.int + 1:032x}")
    assert fetch(altered, method, b"" if method == "POST" else None)[0] == 404
    assert harness.commands == []


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_expired_link_does_nothing(harness: Harness, method: str) -> None:
    harness.now += timedelta(days=1, seconds=1)
    status, page, _ = fetch(harness.link(), method, b"" if method == "POST" else None)
    assert (status, "expired" in page) == (410, True)
    assert harness.commands == []


def test_a_failed_acknowledgement_is_shown_with_its_reason(harness: Harness) -> None:
    harness.result = CommandResult(id="", ok=False, detail="there is no <violation>")
    status, page, _ = fetch(harness.link(), "POST", b"")
    assert status == 503
    assert "there is no &lt;violation&gt;" in page


def test_a_daemon_that_does_not_answer_in_time_is_reported_busy(harness: Harness) -> None:
    harness.result = None
    status, page, _ = fetch(harness.link(), "POST", b"")
    assert (status, "busy" in page) == (503, True)


@pytest.mark.parametrize("path", ["/", "/metrics", "/acknowledge/", "/acknowledge/../../etc/passwd"])
def test_no_other_path_is_served(harness: Harness, path: str) -> None:
    assert fetch(f"{harness.server.url}{path}")[0] == 404


def test_other_methods_and_long_bodies_are_refused(harness: Harness) -> None:
    assert fetch(harness.link(), "PUT", b"")[0] == 501
    assert fetch(harness.link(), "POST", b"x" * 2000)[0] == 413
    assert harness.commands == []


def test_the_page_can_be_neither_framed_nor_cached_nor_referred_to(harness: Harness) -> None:
    headers = fetch(harness.link())[2]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_by_default_the_page_is_not_served(harness: Harness) -> None:
    off = msgspec.structs.replace(harness.config, links=LinksConfig())
    harness.server.serve(off)
    assert harness.server.url == ""


def test_a_port_in_use_leaves_the_former_one_served(harness: Harness) -> None:
    taken = Harness()
    taken.server.serve(taken.config)
    with pytest.raises(PortInUseError, match=r"links\.port"):
        harness.server.serve(harness.with_port(taken.config.links.port))
    assert fetch(harness.link())[0] == 200
    taken.server.stop()


def test_another_key_invalidates_the_old_links(harness: Harness) -> None:
    old = harness.link()
    links = msgspec.structs.replace(
        harness.config.links, key=Secret("another key for tests of 32 chars")
    )
    harness.server.serve(msgspec.structs.replace(harness.config, links=links))
    assert fetch(old)[0] == 404
