"""A wrong configuration file: every problem is reported with its location and a hint."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from maskwatch.config.load import MAX_BYTES, CheckedConfig, check_config, load
from maskwatch.config.schema import Config, LogFormat, MqttVersion, Transport, Weekday, ZoneRule
from maskwatch.errors import ConfigError, SecretError

ProblemsOf = Callable[..., list[str]]
Read = Callable[..., CheckedConfig]

GOLDEN = Path(__file__).with_name("golden")
CAMERA = "cameras: [{name: a, url: rtsp://192.0.2.1/s}]\n"


def _config(found: CheckedConfig) -> Config:
    assert found.config is not None, found.problems
    return found.config


def test_a_camera_with_name_and_address_is_enough(read: Read) -> None:
    config = _config(read(CAMERA))
    assert config.cameras[0].name == "a"
    assert config.cameras[0].transport is Transport.TCP
    assert config.node == "maskwatch"
    assert not config.mqtt.password


def test_values_become_the_types_of_the_schema(read: Read) -> None:
    config = _config(
        read(
            """\
            node: 0123
            cameras:
              - name: on
                url: /clips/a.mp4
                enabled: no
                rotation: 90
                rate: 1e1
                zones:
                  - name: 5
                    polygon: [[0, 0], [1, 0], [1, 1.0]]
                    rule: counted
                    schedule: {days: [sat, sun], start: 12:30, end: 24:00, except_dates: [2026-12-25]}
            mqtt: {version: 3.1.1}
            log: {format: json}
            """
        )
    )
    camera = config.cameras[0]
    assert (config.node, camera.name, camera.enabled) == ("0123", "on", False)
    assert (camera.rotation, camera.rate) == (90, 10.0)
    zone = camera.zones[0]
    assert zone.name == "5"
    assert zone.rule is ZoneRule.COUNTED
    assert zone.polygon == ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
    assert zone.schedule.days == (Weekday.SAT, Weekday.SUN)
    assert zone.schedule.start == "12:30"
    assert zone.schedule.except_dates == ("2026-12-25",)
    assert config.mqtt.version is MqttVersion.V311
    assert config.log.format is LogFormat.JSON


def test_an_empty_section_or_list_has_all_defaults(read: Read) -> None:
    config = _config(read("mqtt:\ncameras:\n  - name: a\n    url: rtsp://h/s\n    zones:\n"))
    assert config.mqtt.port == 1883
    assert config.cameras[0].zones == ()


@pytest.mark.parametrize("name", sorted(path.stem for path in GOLDEN.glob("*.yaml")))
def test_every_problem_is_reported_in_the_order_of_the_file(name: str, tmp_path: Path) -> None:
    """The listing beside each wrong file is what its user sees, word for word."""
    path = tmp_path / f"{name}.yaml"
    path.write_bytes((GOLDEN / f"{name}.yaml").read_bytes())
    problems = [str(p).removeprefix(f"{tmp_path}/") for p in check_config(path, environ={}).problems]
    assert problems == (GOLDEN / f"{name}.txt").read_text().splitlines()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1:1: the file is empty; expected at least `cameras`"),
        ("- a\n", "1:1: expected a section of keys and values, got a list"),
        ("hello\n", "1:1: expected a section of keys and values, got a single value"),
        ("node: a\n", "1:1: cameras: missing (What is watched)"),
        ("cameras: []\n", "1:10: cameras: expected at least one entry, got 0"),
        ("cameras:\n", "1:9: cameras: expected at least one entry, got 0"),
        (
            "cameras: {name: a}\n",
            "1:10: cameras: expected a list, got a section (each item on a line of its own after `- `)",
        ),
        (f"{CAMERA}mqtt: yes\n", "2:7: mqtt: expected a section of keys and values, got a single value"),
        (f"{CAMERA}metrics: {{port: [1]}}\n", "2:17: metrics.port: expected a whole number "),
        (f"{CAMERA}metrics: {{port: 1e3}}\n", "2:17: metrics.port: expected a whole number "),
        (
            f"{CAMERA}node: ''\n",
            "2:7: node: expected a name of 1 to 64 characters without / + #, got an",
        ),
        (
            f"{CAMERA}node: a/b\n",
            "2:7: node: expected a name of 1 to 64 characters without / + #, got a/b",
        ),
        (f"{CAMERA}mqtt: {{tls: 1}}\n", "2:13: mqtt.tls: expected true or false, got 1"),
        (
            f"{CAMERA}mqtt: {{tls: 'true'}}\n",
            "2:13: mqtt.tls: expected true or false, got 'true' (leave",
        ),
        (f"{CAMERA}node: a${{b\n", "2:7: node: `${` begins no variable"),
        (f"{CAMERA}<<: 3\n", "2:5: `<<` takes a section"),
    ],
)
def test_a_single_problem_is_reported_alone(problems_of: ProblemsOf, text: str, message: str) -> None:
    (problem,) = problems_of(text)
    assert problem.startswith(message)


def test_a_missing_key_is_reported_at_its_section(problems_of: ProblemsOf) -> None:
    first, second = problems_of("cameras:\n  - name: a\n  - url: rtsp://h/s\n")
    assert first.startswith("2:5: cameras[0].url: missing (rtsp:// or rtsps:// address")
    assert second.startswith("3:5: cameras[1].name: missing (Unique")


def test_sections_for_anchors_are_allowed_at_the_top_level_only(problems_of: ProblemsOf) -> None:
    assert problems_of(f"x-mine: &m {{rate: 2}}\n{CAMERA}") == []
    assert problems_of(f"{CAMERA}mqtt: {{x-mine: 1}}\n")[0].startswith("2:8: mqtt.x-mine: unknown key")


def test_a_wrong_key_of_a_merge_is_reported_at_the_merging_section(
    problems_of: ProblemsOf,
) -> None:
    problems = problems_of("x-m: &m {rat: 2}\ncameras:\n  - name: a\n    url: rtsp://h/s\n    <<: *m\n")
    assert problems == ["3:5: cameras[0].rat: unknown key (did you mean `rate`?)"]


def test_a_file_that_cannot_be_read_is_one_problem(tmp_path: Path) -> None:
    binary, large = tmp_path / "binary", tmp_path / "large"
    binary.write_bytes(b"a: b\nc: \xff\xfe\x00")
    large.write_bytes(b"#" * (MAX_BYTES + 1))
    cases = {
        tmp_path / "none.yaml": "cannot be read: No such file or directory",
        tmp_path: "is a directory; expected a configuration file",
        binary: "is not text in UTF-8",
        large: "is larger than 1024 KiB; expected a configuration file",
        Path("/dev/zero"): "cannot be read: Not a regular file but a device",
        tmp_path / "a\0b": "is not the name of a file",
    }
    for path, message in cases.items():
        (problem,) = check_config(path, environ={}).problems
        assert problem.message == message
    assert (check_config(binary).problems[0].line, check_config(binary).problems[0].column) == (2, 4)


def test_a_control_character_is_reported_at_its_location(problems_of: ProblemsOf) -> None:
    assert problems_of("node: a\n\x07") == [
        "2:1: control character 0x07; expected text",
    ]


def test_a_byte_order_mark_is_not_part_of_the_first_key(read: Read) -> None:
    assert _config(read(f"\ufeffnode: a\n{CAMERA}")).node == "a"


def test_load_raises_with_every_problem(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("node: ''\nlog: {level: loud}\n")
    with pytest.raises(ConfigError) as caught:
        load(path, environ={})
    assert len(caught.value.problems) == 3
    assert str(caught.value).count("\n") == 2
    assert caught.value.exit_code == 3


def test_load_raises_a_secret_error_when_only_secrets_are_missing(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"{CAMERA}mqtt: {{username: u, password: 'file:none'}}\n")
    with pytest.raises(SecretError) as caught:
        load(path, environ={})
    assert caught.value.problems[0].key == "mqtt.password"
    path.write_text(f"{CAMERA}node: ''\nmqtt: {{username: u, password: 'file:none'}}\n")
    with pytest.raises(ConfigError) as both:
        load(path, environ={})
    assert not isinstance(both.value, SecretError)


def test_load_uses_this_processs_environment_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"node: ${{MASKWATCH_TEST_NODE}}\n{CAMERA}")
    monkeypatch.setenv("MASKWATCH_TEST_NODE", "n7")
    assert load(path).node == "n7"


def test_relative_paths_start_at_the_files_directory(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("data_dir: data\nruntime_dir: run\ncameras: [{name: a, url: clips/a.mp4}]\n")
    config = load(path, environ={})
    assert config.data_dir == str(tmp_path / "data")
    assert config.cameras[0].url.reveal() == str(tmp_path / "clips/a.mp4")


def test_nothing_that_was_substituted_is_repeated_in_a_message(problems_of: ProblemsOf) -> None:
    problems = problems_of(f"{CAMERA}metrics: {{port: '${{PW}}'}}\n", {"PW": "canary-hunter2"})
    assert problems == [
        "2:17: metrics.port: expected a whole number from 0 to 65535, got the value of ${PW}"
    ]


def test_a_caller_that_connects_to_nothing_needs_no_secret_and_no_named_file(tmp_path: Path) -> None:
    """`maskwatch status` works for a user who may read the file, but not what it refers to."""
    path = tmp_path / "c.yaml"
    path.write_text(
        """\
data_dir: ${STATE}/data
cameras:
  - {name: a, url: "rtsp://u:${PW}@h/s"}
  - {name: b, url: "credential:url", substream: rtsp://h/s}
  - {name: c, url: rtsp://h/s, username: u, password: "file:none"}
mqtt: {username: u, password: "credential:mqtt", tls: true, port: 8883, ca_file: none.pem}
people:
  - {name: chat, url: "${CHAT}"}
  - {name: hook, webhook: "file:hook", key: "${KEY}"}
"""
    )
    config = load(path, environ={"STATE": "/srv"}, secrets=False)
    assert config.data_dir == "/srv/data"
    assert [str(camera.url) for camera in config.cameras][2] == "rtsp://h/s"
    assert config.mqtt.password.reveal() == "withheld"
    path.write_text("data_dir: ${STATE}\n" + CAMERA)
    with pytest.raises(ConfigError, match="STATE is not set"):
        load(path, environ={}, secrets=False)


class TestWarnings:
    """What works, but `check` warns about."""

    @staticmethod
    def _warned(found: CheckedConfig) -> list[tuple[str, str]]:
        _config(found)
        return [(w.key, w.message) for w in found.warnings]

    def test_a_secure_file_has_no_warnings(self, read: Read) -> None:
        assert self._warned(read(CAMERA)) == []

    def test_a_password_in_the_file_is_a_warning(self, read: Read) -> None:
        text = (
            "cameras: [{name: a, url: 'rtsp://u:hunter22@h/s'}, "
            "{name: b, url: rtsp://h/s, username: u, password: hunter22}]\n"
        )
        keys = [key for key, message in self._warned(read(text)) if "is in the file" in message]
        assert keys == ["cameras[0].url", "cameras[1].password"]

    def test_a_file_with_a_password_that_others_can_read_is_a_warning(self, tmp_path: Path) -> None:
        path = tmp_path / "c.yaml"
        path.write_text("cameras: [{name: a, url: 'rtsp://u:hunter22@h/s'}]\n")
        path.chmod(0o640)
        messages = [w.message for w in check_config(path, environ={}).warnings]
        assert "holds a secret and can be read by others" in messages
        path.chmod(0o600)
        messages = [w.message for w in check_config(path, environ={}).warnings]
        assert "holds a secret and can be read by others" not in messages

    @pytest.mark.parametrize(
        ("text", "key"),
        [
            ("mqtt: {host: broker.example, username: u, password: '${PW}'}\n", "mqtt.tls"),
            ("mqtt: {tls: true}\n", "mqtt.port"),
            ("mqtt: {port: 8883}\n", "mqtt.port"),
            ("metrics: {host: 0.0.0.0}\n", "metrics.host"),
            ("mqtt: {username: u, password: '${SHORT}'}\n", "mqtt.password"),
        ],
    )
    def test_an_insecure_or_mistaken_setting_is_a_warning(self, read: Read, text: str, key: str) -> None:
        found = read(CAMERA + text, {"PW": "long-enough", "SHORT": "abc"})
        assert [warned for warned, _ in self._warned(found)] == [key]

    def test_cameras_without_a_source_or_without_privacy_are_warnings(self, read: Read) -> None:
        camera = (
            "name: a, url: /none.mp4, enabled: false, pictures: subject, tls_verify: false, username: u"
        )
        keys = {key for key, _ in self._warned(read(f"cameras: [{{{camera}}}]\n"))}
        shown = {f"cameras[0].{key}" for key in ("url", "pictures", "tls_verify", "username")}
        assert keys == {"cameras"} | shown


def test_an_unreadable_file_is_one_problem(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(CAMERA)
    path.chmod(0)
    found = check_config(path, environ={})
    if os.geteuid() == 0:
        # Root reads everything: then the file must be taken as any other.
        assert found.config is not None
        assert stat.S_IMODE(path.stat().st_mode) == 0
    else:
        assert found.problems[0].message == "cannot be read: Permission denied"
