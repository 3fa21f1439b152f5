"""Commands from the broker: parsed, limited in rate, run once, answered once.

The broker's ACL decides who may send which command: each verb has its own topic. Nothing here does
I/O; times are monotonic seconds, passed by the caller.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import Annotated
from uuid import uuid4

import msgspec

from maskwatch.alerts.mqtt.connection import Received
from maskwatch.alerts.mqtt.messages import MessageBuilder
from maskwatch.alerts.mqtt.payloads import VERSION, CommandPayload, CommandResultPayload
from maskwatch.alerts.mqtt.topics import Message, Topic
from maskwatch.decoding import decode_json
from maskwatch.ipc.messages import Command, CommandResult
from maskwatch.ipc.token_bucket import TokenBucket

_CAMERA_VERBS = frozenset({"enable", "disable", "snooze", "snapshot"})
_NODE_VERBS = frozenset({"acknowledge", "reload"})

_MAX_BYTES = 4096
_MAX_PENDING = 100
_MAX_REMEMBERED = 256
_BURST = 10.0
_PER_SECOND = 1.0


@dataclass(frozen=True, slots=True)
class _Request:
    """A command that arrived; `id` is its sender's, "" if it has none."""

    topic: str
    verb: str
    target: str
    correlation: bytes
    id: str = ""


class MqttCommandHandler:
    """Turns messages into commands, and results into messages; used by one thread."""

    def __init__(self, builder: MessageBuilder) -> None:
        self._builder = builder
        self._pending: dict[str, _Request] = {}
        # Results by the sender's id; None while the command runs.
        self._results: OrderedDict[str, CommandResultPayload | None] = OrderedDict()
        self._commands = TokenBucket(_PER_SECOND, _BURST, 0.0)
        self._rejections = TokenBucket(_PER_SECOND, 1.0, 0.0)

    def receive(self, message: Received, now: float) -> Command | Message | None:
        """Return the command in `message`, the answer if it cannot run, None if it is ignored.

        Retained messages are ignored: they were sent for an earlier moment. A command whose id was
        seen before runs only once.
        """
        request = self._parse_topic(message)
        if request is None or message.retained:
            return None
        if not self._commands.take(1.0, now):
            return self._reject(request, now)
        payload = _parse_payload(message.payload)
        if isinstance(payload, str):
            return self._fail(replace(request, id=_parse_id(message.payload)), payload)
        request = replace(request, id=payload.id)
        verbs = _CAMERA_VERBS if request.target else _NODE_VERBS
        if request.verb not in verbs:
            return self._fail(request, f"no such command here; expected {', '.join(sorted(verbs))}")
        return self._accept(request, payload)

    def handles(self, message: Received) -> bool:
        return self._parse_topic(message) is not None

    def complete(self, result: CommandResult) -> Message | None:
        """Return the answer that reports this result; None if its command came another way."""
        request = self._pending.pop(result.id, None)
        if request is None:
            return None
        return self._answer(request, ok=result.ok, detail=result.detail)

    def _parse_topic(self, message: Received) -> _Request | None:
        for topic in (Topic.CAMERA_COMMAND, Topic.NODE_COMMAND):
            names = self._builder.topics.parse(topic, message.topic)
            if names is not None:
                verb, camera = names["verb"], names.get("camera", "")
                return _Request(message.topic, verb, camera, message.correlation)
        return None

    def _accept(self, request: _Request, payload: CommandPayload) -> Command | Message | None:
        request = replace(request, target=request.target or payload.target)
        if request.id in self._results:
            earlier = self._results[request.id]
            if earlier is None:
                return None
            return self._builder.command_result(earlier, request.correlation)
        if request.verb == "acknowledge" and not request.target:
            return self._fail(request, "`target` must be the id of a violation")
        if len(self._pending) >= _MAX_PENDING:
            return self._fail(request, "too many commands wait for an answer")
        key = f"mqtt-{uuid4()}"
        self._pending[key] = request
        self._remember(request.id, None)
        verb = "disable" if request.verb == "enable" and not payload.on else request.verb
        # A broker does not say which of its clients published a message.
        by = f"MQTT topic {request.topic}" + (f", id {request.id}" if request.id else "")
        target, seconds = request.target, payload.seconds
        return Command(id=key, verb=verb, target=target, seconds=seconds, origin="mqtt", by=by)

    def _reject(self, request: _Request, now: float) -> Message | None:
        """Answer one rejection a second: a flood of commands must not cause a flood of answers."""
        if not self._rejections.take(1.0, now):
            return None
        return self._fail(
            request, f"too many commands: {_PER_SECOND:.0f} a second, {_BURST:.0f} at once"
        )

    def _fail(self, request: _Request, detail: str) -> Message:
        return self._answer(request, ok=False, detail=detail)

    def _answer(self, request: _Request, *, ok: bool, detail: str) -> Message:
        result = CommandResultPayload(
            version=VERSION,
            node=self._builder.node,
            id=request.id,
            verb=request.verb,
            target=request.target,
            ok=ok,
            detail=detail,
        )
        self._remember(request.id, result)
        return self._builder.command_result(result, request.correlation)

    def _remember(self, id_: str, result: CommandResultPayload | None) -> None:
        if not id_:
            return
        self._results[id_] = result
        if len(self._results) > _MAX_REMEMBERED:
            self._results.popitem(last=False)


class _IdOnly(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(max_length=64)] = ""


_IDS = msgspec.json.Decoder(_IdOnly)
_PAYLOADS = msgspec.json.Decoder(CommandPayload)


def _parse_id(data: bytes) -> str:
    """Return the id of a message that is invalid otherwise; "" if it has none."""
    try:
        return decode_json(_IDS, data[:_MAX_BYTES]).id
    except msgspec.DecodeError:
        return ""


def _parse_payload(data: bytes) -> CommandPayload | str:
    """Return the payload of a message, or why it is not valid."""
    if len(data) > _MAX_BYTES:
        return f"the message has {len(data)} bytes, {_MAX_BYTES} at most are read"
    if not data.strip():
        return CommandPayload()
    try:
        return decode_json(_PAYLOADS, data)
    except msgspec.DecodeError as error:
        return f"the message is no command: {error}"
