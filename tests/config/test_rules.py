"""What must hold between keys."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from maskwatch.config.load import check_config, load

ProblemsOf = Callable[..., list[str]]

CAMERA = "cameras: [{name: a, url: rtsp://192.0.2.1/s}]\n"


def _zone(polygon: str) -> str:
    return f"cameras: [{{name: a, url: rtsp://h/s, zones: [{{name: z, polygon: {polygon}}}]}}]\n"


def _camera(keys: str) -> str:
    return f"cameras: [{{name: a, url: rtsp://h/s, {keys}}}]\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_zone("[[0, 0], [1, 1]]"), "expected at least 3 entries, got 2"),
        (_zone("[[0, 0], [1, 1], [0.5, 0.5]]"), "the corners lie in one line"),
        (
            _zone("[[0, 0], [1, 0], [1, 1], [0, 0]]"),
            "corner 1 is the same as corner 4 (the outline closes",
        ),
        (_zone("[[0, 0], [1, 1], [1, 0], [0, 1]]"), "the edges from corner 1 and from corner 3 cross"),
        (_zone("[[0, 0], [1, 0], [0.5, 0], [0.5, 1]]"), "the edges"),
        (_zone("[[0, 0], [1, 0], [1, 1.1]]"), "expected a number from 0 to 1, got 1.1"),
        (_zone("[[0, 0], [1, 0], [1]]"), "expected a list of 2 values, got a list of 1"),
        (_camera("schedule: {days: []}"), "the list is empty: the rule would never hold"),
        (_camera("schedule: {start: 08:00, end: 08:00}"), "is the same time as `start`"),
        (
            _camera("schedule: {except_dates: [2026-02-30]}"),
            "expected a date, YYYY-MM-DD, got '2026-02-30'",
        ),
        (_camera("schedule: {except_dates: [20260201]}"), "expected a date, YYYY-MM-DD, got '20260201'"),
        (_camera("schedule: {start: 24:00}"), "expected a time from 00:00 to 23:59, got 24:00"),
        (_camera("time_zone: ../../etc/passwd"), "is no time zone"),
        (_camera("password: '${PW}'"), "a password without `username`"),
        (f"{CAMERA}mqtt: {{host: 'mqtt://h'}}\n", "is a name or an address, not a URL"),
        (f"{CAMERA}mqtt: {{host: '[::1]'}}\n", "without brackets (write ::1)"),
        (f"{CAMERA}mqtt: {{host: 'broker:1883'}}\n", "is neither a name nor an address"),
        (f"{CAMERA}metrics: {{host: '[fe80::1%25eth0]'}}\n", "without brackets (write fe80::1%eth0)"),
        (f"{CAMERA}links: {{host: '[::]'}}\n", "without brackets (write ::)"),
        (f"{CAMERA}links: {{address: 'http://::1:9465'}}\n", "an IPv6 address stands in brackets"),
        (
            f"{CAMERA}people: [{{name: p, webhook: 'https://2001:db8::1/x', key: k}}]\n",
            "an IPv6 address stands in brackets",
        ),
        (f"{CAMERA}mqtt: {{topic_prefix: $SYS}}\n", "must not begin with $"),
        (f"{CAMERA}mqtt: {{topic_prefix: a/}}\n", "must not begin with $ or /, nor end with /"),
        (f"{CAMERA}mqtt: {{topic_prefix: a/+}}\n", "expected a topic without + and #"),
        (f"{CAMERA}mqtt: {{password: '${{PW}}'}}\n", "a password without `username`"),
        (f"{CAMERA}mqtt: {{tls: true, client_cert: /dev/null}}\n", "need each other"),
        (f"{CAMERA}mqtt: {{ca_file: /dev/null}}\n", "has no effect without `tls: true`"),
        (f"{CAMERA}mqtt: {{tls: true, ca_file: /none.pem}}\n", "/none.pem cannot be read: No such file"),
        (f"{CAMERA}metrics: {{port: 1883}}\n", "port 1883 is also the broker's"),
        (f"{CAMERA}model: /none.json\n", "/none.json cannot be read"),
        (f"{CAMERA}face_weights: /tmp\n", "/tmp cannot be read: Is a directory"),
        (f"{CAMERA}data_dir: /run/maskwatch\n", "must not be the same as `data_dir`"),
        (f"{CAMERA}data_dir: /dev/null\n", "is not a directory"),
        (f"{CAMERA}runtime_dir: /run/{'x' * 100}\n", "too long by 12 bytes for the sockets in it"),
        ("cameras: [{name: ' a', url: rtsp://h/s}]\n", "' a' begins or ends with a space"),
        (f"{CAMERA}links: {{enabled: true}}\n", "a key of 32 characters or more"),
        (f"{CAMERA}links: {{enabled: true, key: '${{PW}}'}}\n", "a key of 32 characters or more"),
        (f"{CAMERA}links: {{address: watch.example}}\n", "is not an http:// or https:// address"),
        (f"{CAMERA}links: {{address: 'https://h/?a=b'}}\n", "is not an http:// or https:// address"),
        (
            f"{CAMERA}links: {{enabled: true, port: 9464, key: '${{PW}}${{PW}}${{PW}}'}}\n",
            "port 9464 is also `metrics.port`",
        ),
    ],
)
def test_a_broken_rule_is_reported(problems_of: ProblemsOf, text: str, message: str) -> None:
    (problem,) = problems_of(text, {"PW": "some-password"})
    assert message in problem


@pytest.mark.parametrize("host", ["192.0.2.1", "nvr.example", "nvr:8554", "[2001:db8::1]:554"])
def test_a_host_to_redirect_to_is_accepted(problems_of: ProblemsOf, host: str) -> None:
    assert problems_of(_camera(f"redirect_hosts: ['{host}']")) == []


@pytest.mark.parametrize("host", ["", "rtsp://h", "h/s", "u:pw@h", "h:0", "h:port", "a b", "[::1"])
def test_no_host_to_redirect_to_is_refused_in_words(problems_of: ProblemsOf, host: str) -> None:
    problems = problems_of(_camera(f"redirect_hosts: ['{host}']"))
    assert "expected HOST or HOST:PORT" in problems[0]


@pytest.mark.parametrize(
    "url",
    [
        "rtsp://192.0.2.1/s",
        "rtsps://camera.example:322/a?b=c",
        "rtsp://[2001:db8::1]:554/s",
        "rtsp://u:p%40ss@h/s",
        "RTSP://h/s",
        "/clips/a.mp4",
        "a.mp4",
        "./clip:5.mp4",
    ],
)
def test_a_valid_address_or_path_is_accepted(problems_of: ProblemsOf, url: str) -> None:
    assert problems_of(f"cameras: [{{name: a, url: '{url}'}}]\n") == []


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("", "got an empty text"),
        ("http://h/s", "expected rtsp:// or rtsps://, got http://"),
        ("rstp://h/s", "did you mean `rtsp`?"),
        ("rtsp:///s", "names no host"),
        ("rtsp://h:0/s", "names no host"),
        ("rtsp://h:70000/s", "host or port is not valid"),
        ("rtsp://h:port/s", "host or port is not valid"),
        ("rtsp://[::1/s", "host or port is not valid"),
        ("rtsp://::1/s", "an IPv6 address stands in brackets"),
        ("rtsp://u:canary-pw@2001:db8::1/s", "an IPv6 address stands in brackets"),
        ("rtsp://h/a b", "holds a space"),
        ("rtsp://u:canary/pw@h/s", "the credentials hold a character that ends the host's part"),
        ("rtsp://u:canary#pw@h/s", "the credentials hold a character that ends the host's part"),
        ("camera.example:554/s", "an address begins with rtsp://"),
        ("192.0.2.1/s", "an address begins with rtsp://"),
        ("rtsp:h/s", "an address begins with rtsp://"),
        ("rtsp://u:canary-pw@ h/s", "holds a space"),
    ],
)
def test_an_invalid_address_is_rejected_without_repeating_it(
    problems_of: ProblemsOf, url: str, message: str
) -> None:
    (problem,) = problems_of(f"cameras: [{{name: a, url: '{url}'}}]\n")
    assert message in problem
    assert "canary" not in problem


def test_credentials_in_two_keys_are_rejected(problems_of: ProblemsOf) -> None:
    text = "cameras: [{name: a, url: 'rtsp://u:p@h/s', username: u, password: '${PW}'}]\n"
    (problem,) = problems_of(text, {"PW": "x" * 8})
    assert "credentials are here and in `username`" in problem


def test_names_are_unique_within_their_list_only(problems_of: ProblemsOf) -> None:
    zones = "zones: [{name: z, polygon: [[0,0],[1,0],[1,1]]}]"
    text = f"cameras: [{{name: a, url: /a, {zones}}}, {{name: b, url: /b, {zones}}}]\n"
    assert problems_of(text) == []


def test_the_brokers_port_on_another_machine_is_no_conflict(problems_of: ProblemsOf) -> None:
    assert problems_of(f"{CAMERA}mqtt: {{host: broker.example}}\nmetrics: {{port: 1883}}\n") == []


def test_a_withheld_key_is_not_reported_as_too_short(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"{CAMERA}links: {{enabled: true, key: '${{KEY}}'}}\n")
    assert load(path, environ={}, secrets=False).links.enabled


@pytest.mark.parametrize(
    "text",
    [
        "mqtt: {password: '${PW:-}'}\n",
        "people: [{name: a, url: '${URL:-}', webhook: 'https://chat.example/h', key: '${KEY:-}'}]\n",
        "people: [{name: a, url: 'file:url', webhook: '${HOOK:-}'}]\n",
    ],
)
def test_no_rule_judges_a_withheld_secret(tmp_path: Path, text: str) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(CAMERA + text)
    assert load(path, environ={}, secrets=False).cameras


# --- characters ------------------------------------------------------------------------------------

_TEXTS = {
    "node": "node: HERE",
    "cameras[0].name": "cameras: [{name: HERE, url: 'rtsp://h/1'}]",
    "cameras[0].username": "cameras: [{name: c, url: 'rtsp://h/1', username: HERE}]",
    "cameras[0].zones[0].name": (
        "cameras: [{name: c, url: 'rtsp://h/1', zones: [{name: HERE, polygon: [[0,0],[1,0],[1,1]]}]}]"
    ),
    "people[0].name": "people: [{name: HERE}]",
    "people[0].title": "people: [{name: p, title: HERE}]",
    "people[0].body": "people: [{name: p, body: HERE}]",
    "people[0].zones[0]": "people: [{name: p, zones: [HERE]}]",
    "mqtt.host": "mqtt: {host: HERE}",
    "mqtt.topic_prefix": "mqtt: {topic_prefix: HERE}",
    "mqtt.home_assistant_prefix": "mqtt: {home_assistant_prefix: HERE}",
    "metrics.host": "metrics: {host: HERE}",
}


@pytest.mark.parametrize("key", _TEXTS)
@pytest.mark.parametrize(
    ("written", "character"),
    [
        (r'"front\Ldoor"', "U+2028 LINE SEPARATOR in 'front\\u2028door'"),
        (r'"front\u202edoor"', "U+202E RIGHT-TO-LEFT OVERRIDE in 'front\\u202edoor'"),
        (r'"front\x07door"', "U+0007 control character in 'front\\x07door'"),
        ("front\u200bdoor", "U+200B ZERO WIDTH SPACE in 'front\\u200bdoor'"),
        ("'${DOOR}'", "U+2029 PARAGRAPH SEPARATOR in the value of ${DOOR}"),
    ],
)
def test_a_hidden_character_is_refused_by_its_code_wherever_a_text_is_shown(
    tmp_path: Path, key: str, written: str, character: str
) -> None:
    text = _TEXTS[key].replace("HERE", written)
    path = tmp_path / "config.yaml"
    path.write_text(text if "cameras:" in text else f"{text}\ncameras: [{{name: c, url: 'rtsp://h/1'}}]")
    (problem,) = check_config(path, environ={"DOOR": "front\u2029door"}).problems
    assert problem.key == key
    assert problem.message == f"expected visible characters, got {character}"
    assert problem.hint == "leave it out, or write a space"


def test_templates_may_have_several_lines(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(
        'cameras: [{name: c, url: "rtsp://h/1"}]\npeople: [{name: p, title: "a\\nb", body: "a\\n\\tb"}]'
    )
    assert check_config(path).problems == []
