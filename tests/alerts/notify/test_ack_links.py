"""Links to acknowledge: what we signed is read back, and nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from maskwatch.alerts.notify.ack_links import AckToken, AckTokenSigner, TokenError
from maskwatch.config.schema import CameraConfig, Config, LinksConfig
from maskwatch.secrets import Secret, SecretUrl

KEY = Secret("a key for tests of thirty-two chars")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
VIOLATION = UUID("019d0000-0000-7000-8000-000000000001")
ADDRESS = "https://watch.example/mask"
DAY = 86_400.0


def tickets(key: Secret = KEY, node: str = "gate") -> AckTokenSigner:
    return AckTokenSigner(key, node, ADDRESS, DAY)


def path(url: str) -> str:
    return url.removeprefix("https://watch.example")


GOOD = path(tickets().url(VIOLATION, "guards", NOW))
_CHANNELS = st.from_regex(r"[a-z0-9_-]{1,32}", fullmatch=True)


@given(violation=st.uuids(), channel=_CHANNELS, age=st.floats(0, DAY - 2))
def test_a_link_is_read_back_until_it_expires(violation: UUID, channel: str, age: float) -> None:
    url = tickets().url(violation, channel, NOW)
    assert url.startswith(f"{ADDRESS}/acknowledge/")
    assert tickets().read(path(url), NOW + timedelta(seconds=age)) == AckToken(violation, channel)
    late = NOW + timedelta(seconds=DAY + 1)
    assert tickets().read(path(url), late) is TokenError.EXPIRED


@given(at=st.integers(0, len(GOOD) - 1), char=st.characters())
def test_a_link_that_was_altered_anywhere_is_none(at: int, char: str) -> None:
    """But for what stands before `/acknowledge`, which is the proxy's."""
    assume(char != GOOD[at])
    assume(at >= len("/mask"))
    altered = GOOD[:at] + char + GOOD[at + 1 :]
    assert tickets().read(altered, NOW) is TokenError.FORGED


@given(text=st.text())
def test_any_other_path_is_no_link(text: str) -> None:
    assert tickets().read(text, NOW) is TokenError.FORGED


def test_a_longer_life_cannot_be_written_into_a_link() -> None:
    head, expires, signature = GOOD.rsplit("/", 2)
    longer = f"{head}/{int(expires) + 1000}/{signature}"
    assert tickets().read(longer, NOW) is TokenError.FORGED


@pytest.mark.parametrize(
    "other",
    [tickets(key=Secret("another key for tests of 32 chars")), tickets(node="yard")],
    ids=["another key", "another node"],
)
def test_a_link_of_another_key_or_node_is_none(other: AckTokenSigner) -> None:
    assert tickets().read(path(other.url(VIOLATION, "guards", NOW)), NOW) is TokenError.FORGED


def test_the_key_does_not_stand_in_a_link() -> None:
    assert KEY.reveal() not in tickets().url(VIOLATION, "guards", NOW)


@pytest.mark.parametrize(
    ("links", "begin"),
    [
        (LinksConfig(enabled=True, key=KEY), "http://127.0.0.1:9465/acknowledge/"),
        (LinksConfig(enabled=True, key=KEY, host="::1"), "http://[::1]:9465/acknowledge/"),
        (LinksConfig(enabled=True, key=KEY, address=ADDRESS + "/"), f"{ADDRESS}/acknowledge/"),
    ],
)
def test_links_lead_to_the_address_that_people_reach(links: LinksConfig, begin: str) -> None:
    camera = CameraConfig(name="door", url=SecretUrl("rtsp://x/1"))
    made = AckTokenSigner.of(Config(cameras=(camera,), links=links))
    assert made is not None
    assert made.url(VIOLATION, "guards", NOW).startswith(begin)


def test_without_being_asked_for_there_are_none() -> None:
    camera = CameraConfig(name="door", url=SecretUrl("rtsp://x/1"))
    assert AckTokenSigner.of(Config(cameras=(camera,), links=LinksConfig(key=KEY))) is None
