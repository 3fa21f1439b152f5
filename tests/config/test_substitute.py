"""Variables, secret files and systemd credentials."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskwatch.config.substitute import SubstitutionContext, SubstitutionError, is_reference, variables


@pytest.fixture
def around(tmp_path: Path) -> SubstitutionContext:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    environ = {"NAME": "value", "EMPTY": "", "PASSWORD": "p@ss/w:rd#?"}
    return SubstitutionContext(environ, credentials, tmp_path)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("plain", "plain"),
        ("${NAME}", "value"),
        ("a-${NAME}-${NAME}", "a-value-value"),
        ("${NONE:-default}", "default"),
        ("${EMPTY:-default}", "default"),
        ("${NONE:-}", ""),
        ("${NAME:-default}", "value"),
        ("${NONE:-a b/c}", "a b/c"),
        ("$${NAME}", "${NAME}"),
        ("$NAME $ 5$", "$NAME $ 5$"),
    ],
)
def test_variables_are_replaced(around: SubstitutionContext, text: str, result: str) -> None:
    assert around.substituted(text) == result


@pytest.mark.parametrize("text", ["${NONE}", "${EMPTY}", "${", "${1A}", "${A B}", "x ${NAME"])
def test_a_reference_without_a_value_is_rejected(around: SubstitutionContext, text: str) -> None:
    with pytest.raises(SubstitutionError):
        around.substituted(text)


def test_a_variables_value_is_not_substituted_again(tmp_path: Path) -> None:
    around = SubstitutionContext({"A": "${B}", "B": "deep"}, None, tmp_path)
    assert around.substituted("${A}") == "${B}"


def test_a_secrets_variable_may_not_have_a_default(around: SubstitutionContext) -> None:
    with pytest.raises(SubstitutionError) as caught:
        around.secret("${NONE:-canary-secret}")
    assert "canary" not in caught.value.message + caught.value.hint
    assert around.secret("${NONE:-}") == ""


@given(st.text(st.characters(codec="utf-8", exclude_characters="$\0"), max_size=50))
def test_text_without_a_dollar_sign_stays_as_it_is(text: str) -> None:
    assert SubstitutionContext({}, None, Path("/")).substituted(text) == text


def test_a_secret_is_read_from_a_file_without_its_last_newline(
    around: SubstitutionContext, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text(" with spaces \n")
    assert around.secret("file:secret") == " with spaces "
    assert around.secret(f"file:{tmp_path}/secret") == " with spaces "


def test_a_secret_is_read_from_systemds_credentials(around: SubstitutionContext, tmp_path: Path) -> None:
    (tmp_path / "credentials" / "mqtt").write_bytes(b"hush")
    assert around.secret("credential:mqtt") == "hush"


@pytest.mark.parametrize("name", ["", "../secret", "/etc/passwd", ".", ".."])
def test_a_credential_is_a_name_not_a_path(around: SubstitutionContext, name: str) -> None:
    with pytest.raises(SubstitutionError, match="without a slash"):
        around.secret(f"credential:{name}")


def test_without_systemd_there_are_no_credentials(tmp_path: Path) -> None:
    with pytest.raises(SubstitutionError) as caught:
        SubstitutionContext({}, None, tmp_path).secret("credential:mqtt")
    assert "CREDENTIALS_DIRECTORY" in caught.value.message
    assert "LoadCredential=mqtt;" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"canary-one\ncanary-two\n", "more than one line"),
        (b"canary\0", "a NUL character"),
        (b"\xff\xfe", "in UTF-16"),
        (b"x" * 70_000, "larger than 64 KiB"),
    ],
)
def test_a_file_without_a_valid_secret_is_rejected_without_repeating_it(
    around: SubstitutionContext, tmp_path: Path, content: bytes, message: str
) -> None:
    (tmp_path / "secret").write_bytes(content)
    with pytest.raises(SubstitutionError, match=message) as caught:
        around.secret("file:secret")
    assert "canary" not in caught.value.message


@pytest.mark.parametrize("name", ["none", ".", "a\0b", "/dev/null/x"])
def test_a_reference_to_something_else_than_a_file_is_rejected(
    around: SubstitutionContext, name: str
) -> None:
    with pytest.raises(SubstitutionError):
        around.secret(f"file:{name}")


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("rtsp://u:${PASSWORD}@h/s", "rtsp://u:p%40ss%2Fw%3Ard%23%3F@h/s"),
        ("rtsp://${NAME}:${NONE:-}@h/s", "rtsp://value:@h/s"),
        ("rtsp://h/${NAME}?x=${PASSWORD}", "rtsp://h/value?x=p@ss/w:rd#?"),
        ("rtsp://${NAME}/s", "rtsp://value/s"),
        ("${NAME}", "value"),
        ("rtsp://u:p%40@h/s", "rtsp://u:p%40@h/s"),
    ],
)
def test_a_variable_within_an_addresss_credentials_is_percent_encoded(
    around: SubstitutionContext, text: str, result: str
) -> None:
    assert around.address(text) == result


def test_an_address_may_come_from_a_file(around: SubstitutionContext, tmp_path: Path) -> None:
    (tmp_path / "url").write_text("rtsp://u:p@h/s\n")
    assert around.address("file:url") == "rtsp://u:p@h/s"


def test_references_are_recognized() -> None:
    assert is_reference("file:/a")
    assert is_reference("credential:a")
    assert is_reference("x${A}")
    assert not is_reference("p4$$w0rd")
    assert not is_reference("$${A}")
    assert variables("${A} ${B:-c} $${D}") == ["A", "B"]
