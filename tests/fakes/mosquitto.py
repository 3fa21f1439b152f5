"""A real Mosquitto for one test, and an independent subscriber that records all messages."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import paho.mqtt.client as mqtt
from paho.mqtt.subscribeoptions import SubscribeOptions

from maskwatch.lab.broker import free_port
from tests.fakes.waiting import SLACK, wait_until

CANARY_PASSWORD = "hunter2-canary"
"""The password of every account of `password_lines`; no log may contain it."""

# Debian puts it where an ordinary user's PATH does not look.
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])


class Mosquitto:
    """A broker in its own directory, which may be stopped and started again on its port."""

    def __init__(
        self, directory: Path, lines: list[str] | None = None, listener: str = "", *, port: int = 0
    ) -> None:
        self.port = port or free_port()
        self.directory = directory
        self._process: subprocess.Popen[bytes] | None = None
        listen = listener or f"listener {self.port} 127.0.0.1"
        extra = lines if lines is not None else ["allow_anonymous true"]
        user = ["user root"] if os.geteuid() == 0 else []
        limits = ["max_queued_messages 100000"]
        more = [line.split()[1] for line in lines or () if line.startswith("listener ")]
        self._ports = [self.port, *map(int, more)]
        self.config = directory / "mosquitto.conf"
        text = [
            *user,
            listen.format(port=self.port),
            *limits,
            *extra,
            "log_dest stderr",
            "log_type all",
            "",
        ]
        self.config.write_text("\n".join(text))

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        with (self.directory / "mosquitto.log").open("ab") as log:
            self._process = subprocess.Popen(
                ["mosquitto", "-c", str(self.config)], stderr=log, env={**os.environ, "PATH": _PATH}
            )
        process = self._process
        wait_until(lambda: process.poll() is not None or self._is_up(), 10, "Mosquitto starts")
        assert process.poll() is None, f"mosquitto did not start: {self.log()}"

    def _is_up(self) -> bool:
        return all(map(_is_open, self._ports))

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(10)
            self._process = None

    def reload(self) -> None:
        """Reload the passwords and the ACL."""
        assert self._process is not None
        self._process.send_signal(signal.SIGHUP)

    def retained(self) -> dict[str, bytes]:
        """Return the retained payloads by topic, as a new subscriber receives them."""
        with Listener(self.port) as listener:
            listener.publish("test/end")
            listener.wait_for("test/end")
        return {each.topic: each.payload for each in listener.messages if each.retain}

    def kill(self) -> None:
        """Kill it: clients are not disconnected in order, and retained messages are lost."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        self._process = None

    def log(self) -> str:
        return (self.directory / "mosquitto.log").read_text(errors="replace")


class GatedMosquitto(Mosquitto):
    """Acknowledges and drops publications until `admit`, so that a subscriber can connect before."""

    def __init__(self, directory: Path, lines: list[str] | None = None, *, port: int = 0) -> None:
        self._rules = directory / "acl"
        more = lines if lines is not None else ["allow_anonymous true"]
        super().__init__(directory, [f"acl_file {self._rules}", *more], port=port)

    def start(self) -> None:
        self._rules.write_text("pattern read #\n")
        super().start()

    def admit(self) -> None:
        self._rules.write_text("pattern readwrite #\n")
        self.reload()


def password_lines(
    directory: Path,
    users: Iterable[str] = ("node", "reader"),
    password: str = CANARY_PASSWORD,
) -> list[str]:
    """Write a password file with these users; return the configuration lines that use it."""
    path = directory / "passwords"
    path.touch(mode=0o600)
    for user in users:
        command = ["mosquitto_passwd", "-b", str(path), user, password]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "PATH": _PATH})
    return ["allow_anonymous false", f"password_file {path}"]


def tls_lines(certificates: Path, server: str = "good") -> list[str]:
    """Return the configuration lines for TLS with a server certificate of `make_certificates`."""
    return [
        "allow_anonymous true",
        f"cafile {certificates}/ca.crt",
        f"certfile {certificates}/{server}.crt",
        f"keyfile {certificates}/{server}.key",
    ]


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@dataclass(frozen=True)
class ReceivedMessage:
    """One message, as an independent MQTT 5 subscriber received it."""

    topic: str
    payload: bytes
    qos: int
    retain: bool
    expiry: int | None
    content: str | None
    correlation: bytes
    at: float
    """Time of arrival, in seconds since the epoch."""


class Listener:
    """Subscribes and records messages."""

    def __init__(self, port: int, filters: str = "#", *, username: str = "", password: str = "") -> None:
        self.messages: list[ReceivedMessage] = []
        self._changed = threading.Condition()
        self._subscribed = threading.Event()
        self._filters = filters
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        if username:
            self._client.username_pw_set(username, password)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert self._subscribed.wait(10 * SLACK), "the subscriber of the test could not subscribe"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _on_connect(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe(self._filters, options=SubscribeOptions(qos=1, retainAsPublished=True))

    def _on_message(self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        properties = message.properties
        received = ReceivedMessage(
            message.topic,
            bytes(message.payload),
            message.qos,
            message.retain,
            getattr(properties, "MessageExpiryInterval", None),
            getattr(properties, "ContentType", None),
            bytes(getattr(properties, "CorrelationData", b"")),
            time.time(),
        )
        with self._changed:
            self.messages.append(received)
            self._changed.notify_all()

    def wait(
        self, condition: Callable[[list[ReceivedMessage]], bool], seconds: float = 15
    ) -> list[ReceivedMessage]:
        """Return all messages, once `condition` is true of them."""
        with self._changed:
            if not self._changed.wait_for(lambda: condition(self.messages), seconds * SLACK):
                tail = [(h.topic, h.payload[:200]) for h in self.messages[-12:]]
                raise AssertionError(f"not received within {seconds * SLACK} s; received last: {tail}")
            return list(self.messages)

    def wait_for(self, topic: str, payload: bytes | None = None, seconds: float = 15) -> ReceivedMessage:
        """Return the newest message of a topic (with this payload), waiting for it."""

        def match(received: ReceivedMessage) -> bool:
            return received.topic == topic and payload in {None, received.payload}

        return [h for h in self.wait(lambda all_: any(map(match, all_)), seconds) if match(h)][-1]

    def topics(self) -> list[str]:
        return [received.topic for received in self.messages]

    def publish(
        self, topic: str, payload: bytes = b"", *, retain: bool = False, correlation: bytes = b""
    ) -> None:
        properties = mqtt.Properties(mqtt.PacketTypes.PUBLISH)
        if correlation:
            properties.CorrelationData = correlation
        self._client.publish(
            topic, payload, qos=1, retain=retain, properties=properties
        ).wait_for_publish(5 * SLACK)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()
