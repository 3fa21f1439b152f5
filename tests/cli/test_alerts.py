"""`maskwatch alert test`: every way out is tried, and each failure is said in words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from maskwatch.cli.app import main
from tests.fakes.mosquitto import Listener, Mosquitto
from tests.fakes.web_peer import WebPeer

PASSWORD = "canary-token-42"

# Apprise imports it on every Python that still has it.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@pytest.fixture
def peer() -> Iterator[WebPeer]:
    opened = WebPeer()
    yield opened
    opened.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    started = Mosquitto(tmp_path)
    started.start()
    yield started
    started.stop()


def written(tmp_path: Path, mqtt: str, people: str) -> str:
    path = tmp_path / "config.yaml"
    path.write_text(f"cameras: [{{name: door, url: 'rtsp://x/1'}}]\nmqtt: {mqtt}\npeople: {people}\n")
    return str(path)


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["alert", "test", *arguments])
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_working_sinks_are_reported_and_people_get_a_test_message(
    tmp_path: Path, broker: Mosquitto, peer: WebPeer, capsys: pytest.CaptureFixture[str]
) -> None:
    watcher = Listener(broker.port)
    people = (
        f"[{{name: guards, url: 'json://127.0.0.1:{peer.port}'}}, "
        f"{{name: hook, webhook: 'http://127.0.0.1:{peer.port}', key: {PASSWORD}}}]"
    )
    assert run("--config", written(tmp_path, f"{{port: {broker.port}}}", people)) == 0
    assert capsys.readouterr().out == "mqtt: works\nguards: works\nhook: works\n"
    assert len(peer.requests) == 2
    assert all(b"This is a test" in request.body for request in peer.requests)
    assert {topic.split("/")[-1] for topic in watcher.topics()} <= {"canary"}
    watcher.close()


def test_failing_sinks_are_reported_without_secrets_with_exit_code_14(
    tmp_path: Path, peer: WebPeer, capsys: pytest.CaptureFixture[str]
) -> None:
    peer.answers = [500]
    people = f"[{{name: guards, url: 'json://u:{PASSWORD}@127.0.0.1:{peer.port}'}}]"
    assert run("--config", written(tmp_path, "{port: 1}", people)) == 14
    shown = capsys.readouterr()
    assert "mqtt: broker 127.0.0.1:1: cannot connect: [Errno 111] Connection refused\n" in shown.out
    assert "guards: " in shown.out
    assert "2 of 2 did not work: mqtt, guards" in shown.err
    assert PASSWORD not in shown.out + shown.err


def test_a_single_sink_can_be_tested(
    tmp_path: Path, peer: WebPeer, capsys: pytest.CaptureFixture[str]
) -> None:
    people = f"[{{name: guards, url: 'json://127.0.0.1:{peer.port}'}}]"
    path = written(tmp_path, "{port: 1}", people)
    assert run("--config", path, "--only", "guards") == 0
    assert capsys.readouterr().out == "guards: works\n"
    assert run("--config", path, "--only", "gards") == 2
    assert "expected one of mqtt, guards" in capsys.readouterr().err


def test_a_configuration_without_a_sink_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--config", written(tmp_path, "{enabled: false}", "[]")) == 2
    assert "nothing to test" in capsys.readouterr().err
