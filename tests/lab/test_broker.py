"""The embedded broker of the demo."""

from __future__ import annotations

import importlib.util
import socket
import threading
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest

from maskwatch.errors import DependencyError, MaskwatchError
from maskwatch.lab.broker import EmbeddedBroker
from maskwatch.lab.demo import Demo


def test_a_message_published_with_qos_1_reaches_a_subscriber() -> None:
    arrived: list[bytes] = []
    subscribed, done = threading.Event(), threading.Event()
    with EmbeddedBroker() as broker:
        client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2)
        client.on_subscribe = lambda *_: subscribed.set()
        client.on_message = lambda _c, _u, message: (arrived.append(message.payload), done.set())
        client.connect("127.0.0.1", broker.port)
        client.loop_start()
        client.subscribe("a/#", qos=1)
        assert subscribed.wait(30)
        client.publish("a/b", b"hello", qos=1).wait_for_publish(30)
        assert done.wait(30)
        client.disconnect()
        client.loop_stop()
    assert arrived == [b"hello"]


def test_the_port_is_closed_after_the_context() -> None:
    with EmbeddedBroker() as broker:
        socket.create_connection(("127.0.0.1", broker.port), timeout=5).close()
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", broker.port), timeout=5)


def test_a_port_in_use_is_a_clear_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(MaskwatchError, match="broker did not start"), EmbeddedBroker(port):
            pass


def test_without_its_library_the_demo_fails_before_it_renders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(DependencyError, match=r"pip install 'maskwatch\[demo\]'"):
        Demo(tmp_path / "demo", print, print).run()
    assert not (tmp_path / "demo").exists()
