"""A changed configuration touches only what changed."""

from __future__ import annotations

import msgspec
import pytest

from maskwatch.config.diff import difference, with_restart_keys_of
from maskwatch.config.schema import (
    CameraConfig,
    ChannelConfig,
    Config,
    DecisionConfig,
    LinksConfig,
    LogConfig,
    LogFormat,
    MetricsConfig,
    MqttConfig,
    RetentionConfig,
    StoreConfig,
    SupervisionConfig,
)
from maskwatch.secrets import Secret, SecretUrl


def _camera(name: str, **keys: object) -> CameraConfig:
    camera = CameraConfig(name=name, url=SecretUrl(f"rtsp://h/{name}"))
    return msgspec.structs.replace(camera, **keys)


def _config(*cameras: CameraConfig, **keys: object) -> Config:
    return msgspec.structs.replace(Config(cameras=cameras), **keys)


A, B, C = _camera("a"), _camera("b"), _camera("c")


def test_the_same_configuration_changes_nothing() -> None:
    found = difference(_config(A, B), _config(_camera("a"), _camera("b")))
    assert found.empty
    assert found.keep == ("a", "b")
    assert found.in_words == "nothing changed"


def test_cameras_are_started_stopped_restarted_and_kept() -> None:
    new = _config(B, _camera("c", rate=2.0), _camera("d"))
    found = difference(_config(A, B, C), new)
    assert (found.start, found.stop, found.restart, found.keep) == (("d",), ("a",), ("c",), ("b",))
    assert found.in_words == (
        "started: d; stopped: a; restarted: c; reconfigured: recorder; undisturbed: b"
    )


def test_enabling_starts_and_disabling_stops() -> None:
    on, off = _config(A), _config(_camera("a", enabled=False))
    assert difference(off, on).start == ("a",)
    assert difference(on, off).stop == ("a",)
    assert difference(off, off).keep == ()


def test_a_changed_password_restarts_its_camera_and_not_the_recorder() -> None:
    old = _config(_camera("a", username="u", password=Secret("one-password")), B)
    new = _config(_camera("a", username="u", password=Secret("two-password")), B)
    found = difference(old, new)
    assert found.restart == ("a",)
    assert found.keep == ("b",)
    assert not found.recorder


@pytest.mark.parametrize(
    ("keys", "room"),
    [
        ({"mqtt": MqttConfig(port=1884)}, "recorder"),
        ({"store": StoreConfig(retention=RetentionConfig(interval=5))}, "recorder"),
        ({"metrics": MetricsConfig(port=1)}, "metrics"),
        ({"log": LogConfig(format=LogFormat.JSON)}, "log"),
        ({"supervision": SupervisionConfig(offline_after=1)}, "supervision"),
    ],
)
def test_a_section_affects_its_process_and_no_camera(keys: dict[str, object], room: str) -> None:
    found = difference(_config(A, B), _config(A, B, **keys))
    touched = {name for name in ("recorder", "metrics", "log", "supervision") if getattr(found, name)}
    assert touched == {room}
    assert found.keep == ("a", "b")
    assert not found.full_restart


def test_the_recorder_gets_a_changed_cooldown_of_a_camera() -> None:
    new = _config(_camera("a", decision=DecisionConfig(cooldown=1)))
    assert difference(_config(A), new).recorder


def test_another_model_restarts_every_worker() -> None:
    assert difference(_config(A, B), _config(A, B, model="/m.json")).restart == ("a", "b")


@pytest.mark.parametrize(
    ("keys", "named"),
    [
        ({"node": "other"}, "node"),
        ({"data_dir": "/other"}, "data_dir"),
        ({"runtime_dir": "/other"}, "runtime_dir"),
        ({"store": StoreConfig(reserve_megabytes=1)}, "store.reserve_megabytes"),
    ],
)
def test_a_key_that_needs_a_restart_is_reported_and_keeps_its_value(
    keys: dict[str, object], named: str
) -> None:
    old = _config(A)
    new = _config(A, **keys)
    found = difference(old, new)
    assert found.full_restart == (f"{named} takes effect after a restart of the daemon",)
    assert not found.empty
    assert found.keep == ("a",)
    assert with_restart_keys_of(new, old) == old


def test_a_change_under_any_key_of_the_file_is_noticed() -> None:
    """A section that is added to the schema later must not be forgotten here."""
    changed = {
        "node": "n",
        "data_dir": "/d",
        "runtime_dir": "/r",
        "model": "/m",
        "face_weights": "/w",
        "cameras": (A, B),
        "mqtt": MqttConfig(window=1),
        "people": (ChannelConfig(name="guards"),),
        "links": LinksConfig(port=1),
        "metrics": MetricsConfig(port=1),
        "store": StoreConfig(reserve_megabytes=1),
        "supervision": SupervisionConfig(offline_after=1),
        "log": LogConfig(level="debug"),
    }
    assert set(changed) == set(Config.__struct_fields__)
    for key, value in changed.items():
        new = msgspec.structs.replace(_config(A), **{key: value})
        assert not difference(_config(A), new).empty, key


def test_many_cameras_are_counted_instead_of_listed() -> None:
    many = [_camera(f"c{i}") for i in range(20)]
    assert difference(_config(A, *many), _config(*many)).in_words.endswith("undisturbed: 20 cameras")
