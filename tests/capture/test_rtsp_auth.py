"""What a camera writes into WWW-Authenticate is read, or left out."""

from __future__ import annotations

import pytest

from maskwatch.capture.rtsp_auth import Challenge, Credentials, Login, challenges
from maskwatch.capture.rtsp_message import Message, MessageReader
from maskwatch.secrets import Secret


@pytest.mark.parametrize("header", ["", '\0 realm="x"', "?", ",,,"])
def test_a_header_without_a_scheme_offers_nothing(header: str) -> None:
    assert challenges([header]) == []


def test_several_challenges_of_one_header_are_kept_in_order() -> None:
    found = challenges(['Digest realm="a, b", nonce="n", Basic realm="c"', "Digest algorithm=SHA-256"])
    assert [each.scheme for each in found] == ["digest", "basic", "digest"]


@pytest.mark.parametrize(
    ("header", "fields"),
    [
        (r'Digest realm="the \"front\" one", nonce="n"', {"realm": 'the "front" one', "nonce": "n"}),
        ('Digest realm="a, Basic b=c", nonce="n"', {"realm": "a, Basic b=c", "nonce": "n"}),
        ('Digest qop=auth,auth-int, nonce="n"', {"qop": "auth", "nonce": "n"}),
        ('digest nonce = "n" ,realm=x', {"nonce": "n", "realm": "x"}),
        ('Bearer realm="b", Digest nonce="n"', {"nonce": "n"}),
        ('Digest nonce="n", Bearer realm="b"', {"nonce": "n"}),
        ('Negotiate, Digest nonce="n"', {"nonce": "n"}),
    ],
)
def test_fields_are_read_as_they_are_meant(header: str, fields: dict[str, str]) -> None:
    assert challenges([header]) == [Challenge("digest", fields)]


def test_a_header_may_go_on_in_the_next_line() -> None:
    reader = MessageReader()
    reader.feed(b'RTSP/1.0 401 No\r\nWWW-Authenticate: Digest realm="a",\r\n\t nonce="n"\r\n\r\n')
    reply = reader.next()
    assert isinstance(reply, Message)
    [challenge] = challenges(reply.all("WWW-Authenticate"))
    assert challenge.fields == {"realm": "a", "nonce": "n"}


def test_a_realm_in_another_character_set_is_hashed_as_it_arrived() -> None:
    reader = MessageReader()
    reader.feed(b'RTSP/1.0 401 No\r\nWWW-Authenticate: Digest realm="K\xfcche", nonce="n"\r\n\r\n')
    reply = reader.next()
    assert isinstance(reply, Message)
    login = Login(challenges(reply.all("WWW-Authenticate"))[0], Credentials("ann", Secret("CANARY")))
    request = Message("DESCRIBE rtsp://x/ RTSP/1.0", [])
    request.set("Authorization", login.header("DESCRIBE", "rtsp://x/"))
    assert b'realm="K\xfcche"' in request.encode()


def test_a_session_keeps_its_first_number() -> None:
    """A camera may compute the password's hash once, from the first request (RFC 7616, 3.4.2)."""
    [challenge] = challenges(['Digest realm="a", nonce="n", algorithm=SHA-256-sess, qop="auth"'])
    login = Login(challenge, Credentials("ann", Secret("CANARY")))
    numbers = {login.header("DESCRIBE", "rtsp://x/").partition("cnonce=")[2][:18] for _ in range(3)}
    assert len(numbers) == 1
