"""A secret shows itself to nobody who does not ask for it by name."""

from __future__ import annotations

import base64
import copy
import json
import logging
import pickle
from urllib.parse import quote

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from maskwatch import secrets
from maskwatch.secrets import (
    RedactingFilter,
    Secret,
    SecretUrl,
    is_own_word,
    redact,
    register_secret,
)

passwords = st.text(st.characters(codec="utf-8", exclude_characters="*\n"), min_size=4, max_size=40)


def _record(message: object, *args: object, **keys: object) -> logging.LogRecord:
    record = logging.LogRecord("x", logging.INFO, "p", 1, message, args, None)
    vars(record).update(keys)
    return record


def test_only_reveal_gives_the_value() -> None:
    secret = Secret("canary-value")
    assert secret.reveal() == "canary-value"
    for text in (str(secret), repr(secret), f"{secret}", f"{[secret]}", repr({"a": secret})):
        assert "canary" not in text


def test_secrets_compare_and_hash_by_value_and_are_false_when_empty() -> None:
    assert Secret("same") == Secret("same")
    assert Secret("same") != Secret("other")
    assert Secret("same") != "same"
    assert hash(Secret("same")) == hash(Secret("same"))
    assert not Secret("")


def test_a_secret_is_copied_but_not_pickled() -> None:
    secret = Secret("canary-value")
    assert copy.deepcopy({"a": secret})["a"] is secret
    assert copy.copy(secret) is secret
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(secret)


@given(passwords)
@settings(deadline=None)
def test_a_registered_secret_is_removed_in_every_spelling(password: str) -> None:
    assume(not is_own_word(password))
    secrets._registry = secrets.Replacements()
    register_secret(password)
    for spelled in (
        password,
        quote(password, safe=""),
        json.dumps(password)[1:-1],
        repr(password)[1:-1],
    ):
        assert redact(f"\n{spelled}\n").strip("\n*") == ""


def test_the_longer_of_two_secrets_is_removed_as_a_whole() -> None:
    register_secret("canaries")
    register_secret("canaries-and-more")
    assert redact("<canaries-and-more> <canaries>") == "<***> <***>"


def test_a_short_secret_does_not_turn_ordinary_words_into_stars() -> None:
    Secret("abc")
    assert redact("abcdef abc") == "abcdef abc"


@pytest.mark.parametrize("word", ["camera", "Refused", "violation"])
def test_a_secret_that_is_a_word_of_the_messages_is_not_disclosed_by_stars(word: str) -> None:
    """Stars in place of a known word would disclose the password; URLs hide it by their form."""
    Secret(word)
    message = f"{word}: connection refused by the camera, 1 violation"
    assert redact(message) == message
    assert word not in redact(f"rtsp://viewer:{word}@192.0.2.1/s password={word}")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://user:canary-pw@h:554/s?a=b", "rtsp://***@h:554/s?a=b"),
        ("rtsp://canary-user@h/s", "rtsp://***@h/s"),
        ("rtsp://u:canary@pw@h/s", "rtsp://***@h/s"),
        ("rtsp://u:canary/pw@h/s", "rtsp://***@h/s"),
        (
            "rtsp://h/s?user=admin&password=canary-pw&channel=1",
            "rtsp://h/s?user=admin&password=***&channel=1",
        ),
        ("rtsp://h/user=admin_password=canary-pw", "rtsp://h/user=admin_password=***"),
        ("rtsp://h:554/s", "rtsp://h:554/s"),
        ("/clips/a.mp4", "/clips/a.mp4"),
    ],
)
def test_a_url_is_shown_without_its_credentials(url: str, shown: str) -> None:
    secret = SecretUrl(url)
    assert str(secret) == shown
    assert repr(secret) == f"SecretUrl({shown!r})"
    assert redact(f"cannot open {url} now") == f"cannot open {shown} now"
    assert secret.reveal() == url


def test_the_address_itself_stays_readable() -> None:
    SecretUrl("rtsp://viewer:canary-pw@192.0.2.1/stream1")
    SecretUrl("rtsp://192.0.2.2/stream2")
    assert redact("rtsp://192.0.2.2/stream2 at 192.0.2.1") == "rtsp://192.0.2.2/stream2 at 192.0.2.1"


def test_a_urls_password_is_removed_alone_decoded_and_in_a_basic_header() -> None:
    SecretUrl("rtsp://viewer:canary%40pw@h/s")
    basic = base64.b64encode(b"viewer:canary@pw").decode()
    for text in ("canary%40pw", "canary@pw", f"Authorization: Basic {basic}"):
        assert "***" in redact(text)
        assert "canary" not in redact(text)
        assert basic not in redact(text)


def test_the_tokens_of_a_chat_services_url_are_removed_and_its_host_stays() -> None:
    Secret("tgram://123456789:AAbbCC11ddEE22ff_gg/1002003004")
    Secret("mailtos://guard:canary-pw@mail.example.com?to=a@b.example")
    Secret("slack://T1JJ3T3L2aaaa/A1BRTD4JDbbbb/TIiajkdnlazkcOXrIdevi7FQ/general")
    said = "bot AAbbCC11ddEE22ff_gg, canary-pw, TIiajkdnlazkcOXrIdevi7FQ at mail.example.com general"
    assert redact(said) == "bot ***, ***, *** at mail.example.com general"


def test_an_invalid_url_does_not_raise() -> None:
    assert SecretUrl("rtsp://[::1").reveal() == "rtsp://[::1"


@given(st.text(max_size=30), passwords)
@settings(deadline=None)
def test_credentials_survive_percent_encoding(user: str, password: str) -> None:
    secrets._registry = secrets.Replacements()
    url = SecretUrl("rtsp://old:one@h:554/s").with_credentials(user, Secret(password))
    head, _, tail = url.reveal().rpartition("@")
    assert tail == "h:554/s"
    assert head == f"rtsp://{quote(user, safe='')}:{quote(password, safe='')}"


class TestRedactingFilter:
    """Every record that passes is clean, and every record passes."""

    def test_the_filter_redacts_message_arguments_exception_and_stack(self) -> None:
        Secret("canary-value")
        error = OSError("canary-value")
        info = (OSError, error, None)
        record = _record("a %s", "canary-value", exc_info=info, stack_info="Stack canary-value")
        assert RedactingFilter().filter(record)
        text = logging.Formatter().format(record)
        assert "OSError" in text
        assert "canary" not in text

    def test_arguments_that_do_not_fit_do_not_raise_into_the_caller(self) -> None:
        record = _record("%d cameras", "no number")
        assert RedactingFilter().filter(record)
        assert "its arguments do not fit" in record.getMessage()

    def test_percent_signs_in_a_message_without_arguments_stay(self) -> None:
        record = _record("100 % of %s")
        assert RedactingFilter().filter(record)
        assert record.getMessage() == "100 % of %s"
