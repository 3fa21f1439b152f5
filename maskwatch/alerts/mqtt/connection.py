"""One connection to a broker: opened, used, lost. Nothing in it reconnects or tries again.

The only module that imports paho. All calls come from one thread, which drives paho's external
loop; so paho's queues never hold what has not been sent, and a lost connection takes its
unacknowledged publications with it.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from dataclasses import dataclass
from typing import NoReturn, Protocol

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from maskwatch.alerts.mqtt.topics import Message
from maskwatch.config.schema import MqttConfig, MqttVersion
from maskwatch.errors import SinkError

__all__ = [
    "Acknowledged",
    "Event",
    "HasFileno",
    "MqttConnection",
    "Received",
    "Subscribed",
    "packet_bytes",
]

_CONNECT_TIMEOUT = 5.0
# MQTT 5 reason codes that say "not now" rather than "never": packet id in use, quota exceeded.
_PASSING = frozenset({0x91, 0x97})
_MOST_PACKET = 268_435_455


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker answered a publication; `refusal` is "" when it took it."""

    mid: int
    refusal: str
    passing: bool


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The broker answered a subscription; `refusal` is "" when it granted it."""

    mid: int
    refusal: str


@dataclass(frozen=True, slots=True)
class Received:
    """A message arrived."""

    topic: str
    payload: bytes
    retained: bool
    correlation: bytes = b""


Event = Acknowledged | Subscribed | Received


class HasFileno(Protocol):
    """What `select` can wait for."""

    def fileno(self) -> int:
        """Return the file descriptor."""
        ...


class _Inbox:
    """What paho's callbacks leave behind; they run inside `poll`.

    It does not know the client: a lost client is freed at once, not by the garbage collector.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.connected = False
        self.lost = ""
        self.most_in_flight = 65_535
        self.most_bytes = _MOST_PACKET

    def on_connect(
        self,
        _client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        """Note the broker's answer to the connection."""
        if reason.is_failure:
            self.lost = f"refused the connection: {_words(reason)}"
            return
        self.connected = True
        self.most_in_flight = int(getattr(properties, "ReceiveMaximum", 65_535))
        self.most_bytes = int(getattr(properties, "MaximumPacketSize", _MOST_PACKET))

    def on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        """Note that the connection has ended."""
        if self.lost:
            return
        if flags.is_disconnect_packet_from_server:
            self.lost = f"closed the connection: {_words(reason)}"
        else:
            self.lost = "the connection is lost"

    def on_publish(
        self,
        _client: Client,
        _userdata: object,
        mid: int,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        """Note an acknowledgement."""
        refusal = _words(reason) if reason.is_failure else ""
        self.events.append(Acknowledged(mid, refusal, passing=reason.value in _PASSING))

    def on_subscribe(
        self,
        _client: Client,
        _userdata: object,
        mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        """Note the answer to a subscription."""
        refused = [_words(reason) for reason in reasons if reason.is_failure]
        self.events.append(Subscribed(mid, ", ".join(refused)))

    def on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        """Note a message."""
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        correlation = getattr(message.properties, "CorrelationData", b"")
        self.events.append(Received(topic, bytes(message.payload), message.retain, bytes(correlation)))


class _TlsSocket(ssl.SSLSocket):
    """Closes itself when the handshake fails, which paho forgets."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - the base's
        """Shake hands, or close."""
        try:
            super().do_handshake(block)
        except OSError:
            self.close()
            raise


class MqttConnection:
    """A connection with a last will. Raises SinkError from any call once it is lost."""

    def __init__(self, config: MqttConfig, client_id: str, will: Message) -> None:
        self._config = config
        self._v5 = config.version is MqttVersion.V5
        self._inbox = _Inbox()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTv5 if self._v5 else MQTTv311,
            clean_session=None if self._v5 else True,
            reconnect_on_failure=False,
        )
        self._client.max_inflight_messages = 0  # the owner counts; here everything is sent at once
        self._client.connect_timeout = _CONNECT_TIMEOUT
        self._client.will_set(
            will.topic, will.payload, qos=1, retain=will.retain, properties=self._will_properties(will)
        )
        self._client.on_connect = self._inbox.on_connect
        self._client.on_disconnect = self._inbox.on_disconnect
        self._client.on_publish = self._inbox.on_publish
        self._client.on_subscribe = self._inbox.on_subscribe
        self._client.on_message = self._inbox.on_message

    @property
    def where(self) -> str:
        """Host and port, for messages."""
        return f"{self._config.host}:{self._config.port}"

    @property
    def most_in_flight(self) -> int:
        """How many unacknowledged publications the broker takes (MQTT 5 Receive Maximum)."""
        return self._inbox.most_in_flight

    @property
    def most_bytes(self) -> int:
        """Largest packet that the broker takes (MQTT 5 Maximum Packet Size)."""
        return self._inbox.most_bytes

    def open(self, timeout: float) -> None:
        """Connect and wait for the broker's consent, `timeout` seconds at most."""
        self._set_credentials()
        try:
            self._client.connect(self._config.host, self._config.port, keepalive=self._config.keepalive)
        except ssl.SSLCertVerificationError as error:
            raise SinkError(f"broker {self.where}: its certificate is not accepted: {error}") from error
        except ssl.SSLError as error:
            raise SinkError(f"broker {self.where}: no TLS connection: {error}") from error
        except (OSError, ValueError) as error:
            raise SinkError(f"broker {self.where}: cannot connect: {error}") from error
        opened = self._client.socket()
        if isinstance(opened, socket.socket):
            # An alert is small: without this it waits for the acknowledgement of the one before.
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        deadline = time.monotonic() + timeout
        while not self._inbox.connected:
            if time.monotonic() >= deadline:
                raise SinkError(f"broker {self.where}: accepted the connection but does not answer")
            self.poll(max(0.0, deadline - time.monotonic()))

    def publish(self, message: Message) -> int:
        """Send a message and return its packet id, which comes back in `Acknowledged`."""
        info = self._client.publish(
            message.topic,
            message.payload,
            qos=1,
            retain=message.retain,
            properties=self._publish_properties(message),
        )
        if info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._raise_lost()
        return int(info.mid)

    def subscribe(self, filters: list[str]) -> int:
        """Ask for messages of these topics at QoS 1; the answer comes in `Subscribed`."""
        code, mid = self._client.subscribe(
            [(each, SubscribeOptions(qos=1)) for each in filters]
            if self._v5
            else [(each, 1) for each in filters]
        )
        if code is not MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            self._raise_lost()
        return int(mid)

    def unsubscribe(self, filters: list[str]) -> None:
        """Want no more messages of these topics."""
        self._client.unsubscribe(filters)

    def poll(self, timeout: float, wake: HasFileno | None = None) -> list[Event]:
        """Let the connection work for `timeout` seconds at most, or until something happened."""
        opened = self._client.socket()
        if not isinstance(opened, socket.socket):
            self._raise_lost()
        pending = isinstance(opened, ssl.SSLSocket) and opened.pending() > 0
        readers: list[HasFileno] = [opened] if wake is None else [opened, wake]
        writers: list[HasFileno] = [opened] if self._client.want_write() else []
        readable, writable, _ = select.select(readers, writers, [], 0.0 if pending else timeout)
        if opened in readable or pending:
            self._client.loop_read()
        if writable:
            self._client.loop_write()
        self._client.loop_misc()
        events, self._inbox.events = self._inbox.events, []
        if self._inbox.lost and not events:
            self._raise_lost()
        return events

    def close(self) -> None:
        """Say goodbye if the connection still stands, so that the broker drops the last will."""
        if self._client.is_connected():
            self._client.disconnect()
        self.drop()

    def drop(self) -> None:
        """Cut the connection without a word; the broker publishes the last will."""
        opened = self._client.socket()
        if opened is not None:
            opened.close()

    def _raise_lost(self) -> NoReturn:
        raise SinkError(f"broker {self.where}: {self._inbox.lost or 'the connection is lost'}")

    def _set_credentials(self) -> None:
        config = self._config
        if config.username or config.password:
            self._client.username_pw_set(config.username, config.password.reveal() or None)
        if config.tls:
            self._client.tls_set_context(self._tls_context())

    def _tls_context(self) -> ssl.SSLContext:
        config = self._config
        try:
            context = ssl.create_default_context(cafile=config.ca_file or None)
            context.sslsocket_class = _TlsSocket
            if config.client_cert:
                context.load_cert_chain(config.client_cert, config.client_key or None)
        except (OSError, ssl.SSLError) as error:
            files = ", ".join(f for f in (config.ca_file, config.client_cert, config.client_key) if f)
            raise SinkError(
                f"broker {self.where}: cannot use the TLS files ({files}): {error}"
            ) from error
        return context

    def _publish_properties(self, message: Message) -> Properties | None:
        if not self._v5:
            return None
        properties = _described(PacketTypes.PUBLISH, message)
        if message.correlation:
            properties.CorrelationData = message.correlation
        return properties

    def _will_properties(self, will: Message) -> Properties | None:
        if not self._v5:
            return None
        return _described(PacketTypes.WILLMESSAGE, will)


def packet_bytes(message: Message) -> int:
    """Return the length of a message as an MQTT 5 packet, or up to nine bytes more."""
    head, topic_and_id = 5, 2 + len(message.topic.encode()) + 2
    properties = 2 + 3 + len(message.content) + 2 + 5 + 3 + len(message.correlation)
    return head + topic_and_id + properties + len(message.payload)


def _described(packet: int, message: Message) -> Properties:
    properties = Properties(packet)  # type: ignore[no-untyped-call]  # paho 2 leaves this one untyped
    properties.ContentType = message.content
    properties.PayloadFormatIndicator = 0 if message.content.startswith("image/") else 1
    if message.expiry is not None:
        properties.MessageExpiryInterval = message.expiry
    return properties


def _words(reason: ReasonCode) -> str:
    return f"{str(reason).lower()} (code {reason.value})"
