"""`check` tries the TLS files as the recorder uses them, and never asks for a passphrase."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from maskwatch.config.load import check_config
from maskwatch.config.tls import TlsFileError, trusting
from tests.fakes.certificates import make_certificates

CAMERA = "cameras: [{name: a, url: rtsp://h/s}]\n"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, certificates and keys of every form that people have."""
    folder = tmp_path_factory.mktemp("certificates")
    make_certificates(folder)

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    openssl("pkcs8", "-topk8", "-in", "client.key", "-out", "encrypted.key", "-passout", "pass:open-1")
    openssl("ec", "-in", "client.key", "-out", "old.key", "-aes128", "-passout", "pass:open-1")
    openssl("x509", "-in", "client.crt", "-outform", "der", "-out", "client.der")
    openssl("x509", "-in", "ca.crt", "-outform", "der", "-out", "ca.der")
    openssl("pkey", "-in", "client.key", "-outform", "der", "-out", "key.der")
    pair = ("-inkey", "client.key", "-in", "client.crt", "-passout", "pass:open-1")
    openssl("pkcs12", "-export", *pair, "-out", "client.p12")
    openssl("genpkey", "-algorithm", "ed25519", "-out", "other.key")
    (folder / "cut.key").write_bytes((folder / "client.key").read_bytes()[:150])
    (folder / "text").write_text("hello")
    (folder / "empty").write_text("")
    return folder


ProblemsWith = Callable[..., list[str]]


@pytest.fixture
def problems_with(tmp_path: Path, files: Path) -> ProblemsWith:
    """Return the problems of a configuration with these files."""

    def problems(environ: Mapping[str, str] = {}, more: str = "", **names: str) -> list[str]:
        keys = "".join(f", {key}: '{files / name}'" for key, name in names.items())
        path = tmp_path / "config.yaml"
        path.write_text(f"{CAMERA}mqtt: {{tls: true, port: 8883{keys}{more}}}\n")
        return [f"{each.key}: {each.message}" for each in check_config(path, environ=environ).problems]

    return problems


def test_files_that_fit_each_other_are_accepted(problems_with: ProblemsWith) -> None:
    assert problems_with(ca_file="ca.crt", client_cert="client.crt", client_key="client.key") == []


@pytest.mark.parametrize("key", ["encrypted.key", "old.key"])
def test_an_encrypted_key_needs_its_passphrase_as_a_secret(
    problems_with: ProblemsWith, key: str
) -> None:
    names = {"ca_file": "ca.crt", "client_cert": "client.crt", "client_key": key}
    [problem] = problems_with(**names)
    assert problem.startswith("mqtt.client_key: ")
    assert problem.endswith("is encrypted")
    more = ", client_key_password: '${PASSPHRASE}'"
    assert problems_with({"PASSPHRASE": "open-1"}, more, **names) == []
    [problem] = problems_with({"PASSPHRASE": "wrong-1"}, more, **names)
    assert problem.startswith("mqtt.client_key_password: does not decrypt")


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ({"ca_file": "ca.der"}, "ca_file: HERE/ca.der is in DER form; expected PEM"),
        ({"ca_file": "ca.key"}, "ca_file: HERE/ca.key holds a PRIVATE KEY; expected a CERTIFICATE"),
        ({"ca_file": "text"}, "ca_file: HERE/text holds no CERTIFICATE in PEM form"),
        (
            {"client_cert": "client.csr", "client_key": "client.key"},
            "client_cert: HERE/client.csr holds a CERTIFICATE REQUEST; expected a CERTIFICATE",
        ),
        (
            {"client_cert": "client.der", "client_key": "client.key"},
            "client_cert: HERE/client.der is in DER form; expected PEM",
        ),
        (
            {"client_cert": "client.crt", "client_key": "good.key"},
            "client_key: HERE/good.key does not fit HERE/client.crt",
        ),
        (
            {"client_cert": "client.crt", "client_key": "client.crt"},
            "client_key: HERE/client.crt holds a CERTIFICATE; expected a PRIVATE KEY",
        ),
        (
            {"client_cert": "client.crt", "client_key": "key.der"},
            "client_key: HERE/key.der is in DER form; expected PEM",
        ),
        (
            {"client_cert": "client.crt", "client_key": "client.p12"},
            "client_key: HERE/client.p12 is in PKCS#12 form; expected PEM",
        ),
        (
            {"client_cert": "client.p12", "client_key": "client.key"},
            "client_cert: HERE/client.p12 is in PKCS#12 form; expected PEM",
        ),
        (
            {"client_cert": "client.crt", "client_key": "other.key"},
            "client_key: HERE/other.key does not fit HERE/client.crt",
        ),
        (
            {"client_cert": "client.crt", "client_key": "cut.key"},
            "client_key: HERE/cut.key cannot be used: its PEM form is damaged",
        ),
        (
            {"client_cert": "client.crt", "client_key": "empty"},
            "client_key: HERE/empty cannot be used: it is empty",
        ),
        (
            {"client_cert": "client.crt", "client_key": "text"},
            "client_key: HERE/text holds no PRIVATE KEY in PEM form",
        ),
    ],
)
def test_a_file_of_another_kind_is_named_with_what_it_holds(
    problems_with: ProblemsWith, files: Path, names: dict[str, str], problem: str
) -> None:
    assert problems_with(**names) == [f"mqtt.{problem.replace('HERE', str(files))}"]


def test_an_empty_file_is_a_problem(problems_with: ProblemsWith) -> None:
    assert len(problems_with(ca_file="empty")) == 1


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (b"\xef\xbb\xbfsecret99\r\n", "secret99"),
        (b"secret99\r\n", "secret99"),
        (b"secret99\r", "secret99"),
    ],
)
def test_invisible_ends_of_a_secret_are_taken_off(tmp_path: Path, content: bytes, secret: str) -> None:
    (tmp_path / "pw").write_bytes(content)
    path = tmp_path / "config.yaml"
    camera = "{name: %s, url: rtsp://h/s, username: u, password: '%s'}"
    path.write_text(f"cameras: [{camera % ('a', 'file:pw')}, {camera % ('b', '${PW}')}]\n")
    config = check_config(path, environ={"PW": content.decode()}).config
    assert config is not None
    assert [each.password.reveal() for each in config.cameras] == [secret, secret]


def test_blanks_at_the_end_of_a_secret_are_kept_with_a_warning(tmp_path: Path) -> None:
    (tmp_path / "pw").write_text("secret99 \n")
    path = tmp_path / "config.yaml"
    path.write_text(
        "cameras: [{name: a, url: rtsp://h/s, username: u, password: 'file:pw'}]\n"
        "people: [{name: p, webhook: '${HOOK}', key: ' k'}]\n"
    )
    found = check_config(path, environ={"HOOK": "https://h/x\t"})
    blanks = [each.key for each in found.warnings if "blank" in each.message]
    assert blanks == ["cameras[0].password", "people[0].webhook", "people[0].key"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("ca.crt", []),
        (
            "client.key",
            ["cameras[0].ca_file: {}/client.key holds a PRIVATE KEY; expected a CERTIFICATE"],
        ),
        ("ca.der", ["cameras[0].ca_file: {}/ca.der is in DER form; expected PEM"]),
        ("missing", ["cameras[0].ca_file: {}/missing cannot be read: No such file or directory"]),
    ],
)
def test_the_certificates_of_a_camera_are_tried(
    files: Path, tmp_path: Path, name: str, expected: list[str]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"cameras: [{{name: a, url: 'rtsps://h/s', ca_file: {files / name}}}]\n")
    found = [f"{each.key}: {each.message}" for each in check_config(path).problems]
    assert found == [each.format(files) for each in expected]


def test_a_certificate_that_became_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ca.pem")
    with pytest.raises(TlsFileError, match="Not a regular file but a named pipe"):
        trusting(str(tmp_path / "ca.pem"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("secret99".encode("utf-16"), "is in UTF-16; expected UTF-8"),
        ("secret99\r\n".encode("utf-16-le"), "is in UTF-16; expected UTF-8"),
        (b"secret99\0", "holds a NUL character"),
        (b"secr\xe9t", "is not in UTF-8"),
        (b"secret\n99", "holds more than one line of text"),
    ],
)
def test_a_secret_in_another_form_is_a_problem_that_names_it(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    (tmp_path / "pw").write_bytes(content)
    path = tmp_path / "config.yaml"
    path.write_text("cameras: [{name: a, url: rtsp://h/s, username: u, password: 'file:pw'}]\n")
    [problem] = check_config(path, environ={}).problems
    assert problem.message == f"{tmp_path / 'pw'} {reason}"


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("secret99\N{NO-BREAK SPACE}", "begins or ends with a blank"),
        (
            "secret99\N{ZERO WIDTH SPACE}",
            "holds a character that is not visible: U+200B ZERO WIDTH SPACE",
        ),
    ],
)
def test_what_is_not_visible_in_a_secret_is_a_warning(tmp_path: Path, text: str, warning: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("cameras: [{name: a, url: rtsp://h/s, username: u, password: '${PW}'}]\n")
    found = check_config(path, environ={"PW": text})
    assert [each.message for each in found.warnings if each.key == "cameras[0].password"] == [warning]
