"""One connection to a broker: opened, used, lost. It never reconnects and retries nothing.

This is the only module that imports paho. All calls come from one thread, which drives paho's
external loop: paho's queues never hold unsent messages, and the unacknowledged publications of a lost
connection are dropped with it.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import NoReturn

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from maskwatch.alerts.mqtt.topics import Message
from maskwatch.config.addresses import bracketed
from maskwatch.config.schema import MqttConfig, MqttVersion
from maskwatch.config.tls import TlsFileError, client_context
from maskwatch.errors import SinkError
from maskwatch.files import MIB
from maskwatch.ipc.loop import HasFileno

_CONNECT_TIMEOUT = 5.0
# MQTT 5 reason codes of temporary refusals: packet id in use, quota exceeded.
_TRANSIENT = frozenset({0x91, 0x97})
# The one reason code of a refusal that is about the message: payload format invalid. The others depend
# on the broker's configuration: not authorized, topic name invalid, unspecified (a plugin's reason), ...
_ABOUT_THE_MESSAGE = frozenset({0x99})
# The reason code of an MQTT 5 broker for a connection that another of the same client id replaced.
_TAKEN_OVER = 0x8E
_MAX_PACKET_BYTES = 268_435_455
# What an MQTT 5 broker may send: commands are small, our own retained pictures some megabytes at most.
_MAX_RECEIVED_BYTES = 16 * MIB
# Paho 2 leaves the constructor untyped.
_new_properties: Callable[[int], Properties] = Properties


class Ending(Enum):
    """How an accepted connection ended."""

    OTHERWISE = auto()  # by this side, with a reason of the broker, or never accepted
    CLOSED = auto()  # without a reason
    TAKEN_OVER = auto()  # another client has connected with the same client id


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The broker answered a publication; `refusal` is "" if it was accepted.

    `correctable`: the refusal depends on the broker's configuration.
    """

    mid: int
    refusal: str
    transient: bool
    correctable: bool


@dataclass(frozen=True, slots=True)
class Subscribed:
    """The broker answered a subscription; `refusal` is "" if it was granted."""

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


class _Callbacks:
    """State that paho's callbacks set; they run inside `poll`.

    It holds no reference to the client, so that a lost client is freed without a garbage collection.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.connected = False
        self.lost = ""
        self.ending = Ending.OTHERWISE
        self.max_in_flight = 65_535
        self.max_packet_bytes = _MAX_PACKET_BYTES

    def on_connect(
        self,
        _client: Client,
        _userdata: object,
        _flags: ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self.lost = f"refused the connection: {_text(reason)}"
            return
        self.connected = True
        self.max_in_flight = int(getattr(properties, "ReceiveMaximum", 65_535))
        self.max_packet_bytes = int(getattr(properties, "MaximumPacketSize", _MAX_PACKET_BYTES))

    def on_disconnect(
        self, _client: Client, _userdata: object, flags: DisconnectFlags, reason: ReasonCode, _: object
    ) -> None:
        if self.lost:
            return
        if flags.is_disconnect_packet_from_server:
            self.lost = f"closed the connection: {_text(reason)}"
            self.ending = Ending.TAKEN_OVER if reason.value == _TAKEN_OVER else Ending.OTHERWISE
        else:
            self.lost = "the connection is lost"
            self.ending = Ending.CLOSED if self.connected else Ending.OTHERWISE

    def on_publish(
        self, _client: Client, _userdata: object, mid: int, reason: ReasonCode, _: object
    ) -> None:
        refusal = _text(reason) if reason.is_failure else ""
        self.events.append(
            Acknowledged(
                mid,
                refusal,
                transient=reason.value in _TRANSIENT,
                correctable=reason.value not in _ABOUT_THE_MESSAGE,
            )
        )

    def on_subscribe(
        self, _client: Client, _userdata: object, mid: int, reasons: list[ReasonCode], _: object
    ) -> None:
        refused = [_text(reason) for reason in reasons if reason.is_failure]
        self.events.append(Subscribed(mid, ", ".join(refused)))

    def on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        correlation = getattr(message.properties, "CorrelationData", b"")
        self.events.append(Received(topic, bytes(message.payload), message.retain, bytes(correlation)))


class _TlsSocket(ssl.SSLSocket):
    """Closes itself when the handshake fails; paho leaves it open."""

    def do_handshake(self, block: bool = False) -> None:  # noqa: FBT001, FBT002 - the base's
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
        self._callbacks = _Callbacks()
        self._client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTv5 if self._v5 else MQTTv311,
            clean_session=None if self._v5 else True,
            reconnect_on_failure=False,
        )
        self._client.max_inflight_messages = 0  # `MqttSession` limits them; paho must not queue
        self._client.connect_timeout = _CONNECT_TIMEOUT
        properties = self._properties(PacketTypes.WILLMESSAGE, will)
        self._client.will_set(will.topic, will.payload, qos=1, retain=will.retain, properties=properties)
        self._client.on_connect = self._callbacks.on_connect
        self._client.on_disconnect = self._callbacks.on_disconnect
        self._client.on_publish = self._callbacks.on_publish
        self._client.on_subscribe = self._callbacks.on_subscribe
        self._client.on_message = self._callbacks.on_message

    @property
    def address(self) -> str:
        return f"{bracketed(self._config.host)}:{self._config.port}"

    @property
    def ending(self) -> Ending:
        return self._callbacks.ending

    @property
    def max_in_flight(self) -> int:
        """How many unacknowledged publications the broker allows (MQTT 5 Receive Maximum)."""
        return self._callbacks.max_in_flight

    @property
    def max_packet_bytes(self) -> int:
        """Largest packet that the broker accepts (MQTT 5 Maximum Packet Size)."""
        return self._callbacks.max_packet_bytes

    def open(self, timeout: float) -> None:
        """Connect, and wait up to `timeout` seconds for the broker to accept."""
        self._set_credentials()
        try:
            self._client.connect(
                self._config.host,
                self._config.port,
                keepalive=self._config.keepalive,
                properties=self._limits(),
            )
        except ssl.SSLCertVerificationError as error:
            raise SinkError(
                f"broker {self.address}: its certificate is not accepted: {error}"
            ) from error
        except ssl.SSLError as error:
            raise SinkError(f"broker {self.address}: no TLS connection: {error}") from error
        except (OSError, ValueError) as error:
            raise SinkError(f"broker {self.address}: cannot connect: {error}") from error
        sock = self._client.socket()
        if isinstance(sock, socket.socket):
            # Nagle's algorithm would delay a small alert until the previous one is acknowledged.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        deadline = time.monotonic() + timeout
        while not self._callbacks.connected:
            if time.monotonic() >= deadline:
                raise SinkError(f"broker {self.address}: accepted the connection but does not answer")
            self.poll(max(0.0, deadline - time.monotonic()))

    def publish(self, message: Message) -> int:
        """Send a message and return its packet id, which comes back in `Acknowledged`."""
        info = self._client.publish(
            message.topic,
            message.payload,
            qos=1,
            retain=message.retain,
            properties=self._properties(PacketTypes.PUBLISH, message),
        )
        if info.rc is not MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._fail()
        return int(info.mid)

    def subscribe(self, filters: list[str]) -> int:
        """Subscribe at QoS 1 and return the packet id, which comes back in `Subscribed`."""
        code, mid = self._client.subscribe(
            [(each, SubscribeOptions(qos=1)) for each in filters]
            if self._v5
            else [(each, 1) for each in filters]
        )
        if code is not MQTTErrorCode.MQTT_ERR_SUCCESS or mid is None:
            self._fail()
        return int(mid)

    def unsubscribe(self, filters: list[str]) -> None:
        self._client.unsubscribe(filters)

    def poll(self, timeout: float, wakeup: HasFileno | None = None) -> list[Event]:
        """Let the connection work until something happens or `timeout` passes; return the events."""
        sock = self._client.socket()
        if not isinstance(sock, socket.socket):
            self._fail()
        pending = isinstance(sock, ssl.SSLSocket) and sock.pending() > 0
        readers: list[HasFileno] = [sock] if wakeup is None else [sock, wakeup]
        writers: list[HasFileno] = [sock] if self._client.want_write() else []
        readable, writable, _ = select.select(readers, writers, [], 0.0 if pending else timeout)
        if sock in readable or pending:
            self._client.loop_read()
        if writable:
            self._client.loop_write()
        self._client.loop_misc()
        events, self._callbacks.events = self._callbacks.events, []
        if self._callbacks.lost and not events:
            self._fail()
        return events

    def close(self) -> None:
        """Disconnect in order, if connected, so that the broker discards the last will."""
        if self._client.is_connected():
            self._client.disconnect()
        self.abort()

    def abort(self) -> None:
        """Close the socket without a DISCONNECT: the broker publishes the last will."""
        sock = self._client.socket()
        if sock is not None:
            sock.close()

    def _fail(self) -> NoReturn:
        raise SinkError(f"broker {self.address}: {self._callbacks.lost or 'the connection is lost'}")

    def _limits(self) -> Properties | None:
        if not self._v5:
            return None
        properties = _new_properties(PacketTypes.CONNECT)
        properties.MaximumPacketSize = _MAX_RECEIVED_BYTES
        return properties

    def _set_credentials(self) -> None:
        config = self._config
        if config.username or config.password:
            self._client.username_pw_set(config.username, config.password.reveal() or None)
        if config.tls:
            self._client.tls_set_context(self._tls_context())

    def _tls_context(self) -> ssl.SSLContext:
        try:
            context = client_context(self._config)
        except TlsFileError as fault:
            hint = f" ({fault.hint})" if fault.hint else ""
            raise SinkError(f"broker {self.address}: mqtt.{fault.key}: {fault.message}{hint}") from fault
        context.sslsocket_class = _TlsSocket
        return context

    def _properties(self, packet: int, message: Message) -> Properties | None:
        if not self._v5:
            return None
        properties = _new_properties(packet)
        properties.ContentType = message.content
        properties.PayloadFormatIndicator = 0 if message.content.startswith("image/") else 1
        if message.expiry is not None:
            properties.MessageExpiryInterval = message.expiry
        if message.correlation:
            properties.CorrelationData = message.correlation
        return properties


def packet_bytes(message: Message) -> int:
    """Return the length of a message as an MQTT 5 packet; an upper bound, up to nine bytes over."""
    head, topic_and_id = 5, 2 + len(message.topic.encode()) + 2
    properties = 2 + 3 + len(message.content) + 2 + 5 + 3 + len(message.correlation)
    return head + topic_and_id + properties + len(message.payload)


def _text(reason: ReasonCode) -> str:
    return f"{str(reason).lower()} (code {reason.value})"
