"""Links that acknowledge: what was signed is verified, and nothing else is."""

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


def signer(key: Secret = KEY, node: str = "gate") -> AckTokenSigner:
    return AckTokenSigner(key, node, ADDRESS, DAY)


def path(url: str) -> str:
    return url.removeprefix("https://watch.example")


GOOD = path(signer().url(VIOLATION, "guards", NOW))
_CHANNELS = st.from_regex(r"[a-z0-9_-]{1,32}", fullmatch=True)


@given(violation=st.uuids(), channel=_CHANNELS, age=st.floats(0, DAY - 2))
def test_a_link_is_valid_until_it_expires(violation: UUID, channel: str, age: float) -> None:
    url = signer().url(violation, channel, NOW)
    assert url.startswith(f"{ADDRESS}/acknowledge/")
    assert signer().verify(path(url), NOW + timedelta(seconds=age)) == AckToken(violation, channel)
    late = NOW + timedelta(seconds=DAY + 1)
    assert signer().verify(path(url), late) is TokenError.EXPIRED


@given(at=st.integers(0, len(GOOD) - 1), char=st.characters())
def test_a_link_altered_anywhere_is_forged(at: int, char: str) -> None:
    """Except before `/acknowledge`: a proxy may add a prefix."""
    assume(char != GOOD[at])
    assume(at >= len("/mask"))
    altered = GOOD[:at] + char + GOOD[at + 1 :]
    assert signer().verify(altered, NOW) is TokenError.FORGED


@given(text=st.text())
def test_any_other_path_is_forged(text: str) -> None:
    assert signer().verify(text, NOW) is TokenError.FORGED


def test_the_expiry_of_a_link_cannot_be_changed() -> None:
    head, expires, signature = GOOD.rsplit("/", 2)
    longer = f"{head}/{int(expires) + 1000}/{signature}"
    assert signer().verify(longer, NOW) is TokenError.FORGED


@pytest.mark.parametrize(
    "other",
    [signer(key=Secret("another key for tests of 32 chars")), signer(node="yard")],
    ids=["another key", "another node"],
)
def test_a_link_of_another_key_or_node_is_forged(other: AckTokenSigner) -> None:
    assert signer().verify(path(other.url(VIOLATION, "guards", NOW)), NOW) is TokenError.FORGED


def test_a_link_does_not_contain_the_key() -> None:
    assert KEY.reveal() not in signer().url(VIOLATION, "guards", NOW)


@pytest.mark.parametrize(
    ("links", "begin"),
    [
        (LinksConfig(enabled=True, key=KEY), "http://127.0.0.1:9465/acknowledge/"),
        (LinksConfig(enabled=True, key=KEY, host="::1"), "http://[::1]:9465/acknowledge/"),
        (LinksConfig(enabled=True, key=KEY, address=ADDRESS + "/"), f"{ADDRESS}/acknowledge/"),
    ],
)
def test_links_lead_to_the_public_address(links: LinksConfig, begin: str) -> None:
    camera = CameraConfig(name="door", url=SecretUrl("rtsp://x/1"))
    made = AckTokenSigner.of(Config(cameras=(camera,), links=links))
    assert made is not None
    assert made.url(VIOLATION, "guards", NOW).startswith(begin)


def test_there_are_no_links_unless_enabled() -> None:
    camera = CameraConfig(name="door", url=SecretUrl("rtsp://x/1"))
    assert AckTokenSigner.of(Config(cameras=(camera,), links=LinksConfig(key=KEY))) is None
