"""The page that acknowledge links lead to: looking does nothing, the button does, once and for all."""

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


class House:
    """A door with what stands behind it."""

    def __init__(self) -> None:
        self.now = NOW
        self.commands: list[Command] = []
        self.result: CommandResult | None = CommandResult(id="", ok=True, detail="acknowledged")
        camera = CameraConfig(name="door", url=SecretUrl("rtsp://x/1"))
        links = LinksConfig(enabled=True, key=KEY, port=free_port())
        self.config = Config(node="gate", cameras=(camera,), links=links)
        self.door = AckPageServer(lambda: self.now, self.run, patience=0.5)

    def run(self, command: Command, reply: Reply) -> None:
        self.commands.append(command)
        if self.result is not None:
            reply(msgspec.structs.replace(self.result, id=command.id))

    def link(self, channel: str = "guards") -> str:
        made = AckTokenSigner.of(self.config)
        assert made is not None
        return made.url(VIOLATION, channel, NOW)

    def with_port(self, port: int) -> Config:
        links = msgspec.structs.replace(self.config.links, port=port)
        return msgspec.structs.replace(self.config, links=links)


@pytest.fixture
def house() -> Iterator[House]:
    made = House()
    made.door.serve(made.config)
    yield made
    made.door.stop()


def ask(url: str, method: str = "GET", data: bytes | None = None) -> tuple[int, str, dict[str, str]]:
    request = urllib.request.Request(url, method=method, data=data)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode(), dict(answer.headers)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), dict(error.headers)


def test_looking_at_a_link_shows_a_button_and_does_nothing(house: House) -> None:
    """A mail scanner fetches every link that it sees."""
    for method in ("GET", "HEAD"):
        status, page, _ = ask(house.link(), method)
        assert status == 200
    page = ask(house.link())[1]
    assert '<form method="post">' in page
    assert "2026-03-01 12:00:00 UTC" in page
    assert "guards" in page
    assert str(VIOLATION) in page
    assert house.commands == []


def test_the_button_acknowledges_in_the_name_of_the_channel(house: House) -> None:
    status, page, _ = ask(house.link(), "POST", b"")
    assert status == 200
    assert "It is acknowledged." in page
    (command,) = house.commands
    assert (command.verb, command.target, command.origin) == (
        "acknowledge",
        str(VIOLATION),
        "link:guards",
    )


def test_a_link_that_is_used_again_says_who_was_first(house: House) -> None:
    ask(house.link(), "POST", b"")
    house.result = CommandResult(id="", ok=True, detail="acknowledged before, at 12:00 by link:guards")
    status, page, _ = ask(house.link(), "POST", b"")
    assert status == 200
    assert "acknowledged before, at 12:00 by link:guards" in page


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_altered_link_is_nothing(house: House, method: str) -> None:
    altered = house.link().replace(VIOLATION.hex, f"{VIOLATION.int + 1:032x}")
    assert ask(altered, method, b"" if method == "POST" else None)[0] == 404
    assert house.commands == []


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_an_expired_link_does_nothing(house: House, method: str) -> None:
    house.now += timedelta(days=1, seconds=1)
    status, page, _ = ask(house.link(), method, b"" if method == "POST" else None)
    assert (status, "expired" in page) == (410, True)
    assert house.commands == []


def test_what_could_not_be_done_is_said(house: House) -> None:
    house.result = CommandResult(id="", ok=False, detail="there is no <violation>")
    status, page, _ = ask(house.link(), "POST", b"")
    assert status == 503
    assert "there is no &lt;violation&gt;" in page


def test_a_daemon_that_does_not_answer_is_not_waited_for_long(house: House) -> None:
    house.result = None
    status, page, _ = ask(house.link(), "POST", b"")
    assert (status, "busy" in page) == (503, True)


@pytest.mark.parametrize("path", ["/", "/metrics", "/acknowledge/", "/acknowledge/../../etc/passwd"])
def test_there_is_nothing_else_here(house: House, path: str) -> None:
    assert ask(f"{house.door.url}{path}")[0] == 404


def test_other_methods_and_long_bodies_are_refused(house: House) -> None:
    assert ask(house.link(), "PUT", b"")[0] == 501
    assert ask(house.link(), "POST", b"x" * 2000)[0] == 413
    assert house.commands == []


def test_the_page_can_neither_be_framed_nor_cached_nor_told_on(house: House) -> None:
    headers = ask(house.link())[2]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_by_default_nobody_listens(house: House) -> None:
    off = msgspec.structs.replace(house.config, links=LinksConfig())
    house.door.serve(off)
    assert house.door.url == ""


def test_a_port_that_is_taken_leaves_the_old_one_in_service(house: House) -> None:
    taken = House()
    taken.door.serve(taken.config)
    with pytest.raises(PortInUseError, match=r"links\.port"):
        house.door.serve(house.with_port(taken.config.links.port))
    assert ask(house.link())[0] == 200
    taken.door.stop()


def test_another_key_takes_the_old_links_away(house: House) -> None:
    old = house.link()
    links = msgspec.structs.replace(house.config.links, key=Secret("another key for tests of 32 chars"))
    house.door.serve(msgspec.structs.replace(house.config, links=links))
    assert ask(old)[0] == 404
