"""Commands from the broker: read, limited in rate, run once, answered once.

Who may command is the broker's ACL to say (each verb has its own topic). Nothing here does I/O;
times are monotonic seconds, given by the caller.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated
from uuid import uuid4

import msgspec

from maskwatch.alerts.mqtt.connection import Received
from maskwatch.alerts.mqtt.payloads import VERSION, CommandPayload, CommandResultPayload
from maskwatch.alerts.mqtt.topics import Topic, Topics
from maskwatch.ipc.messages import Command, CommandResult

__all__ = ["CAMERA_VERBS", "NODE_VERBS", "CommandResponse", "MqttCommandHandler"]

CAMERA_VERBS = frozenset({"enable", "disable", "snooze", "snapshot"})
NODE_VERBS = frozenset({"acknowledge", "reload"})

_MOST_BYTES = 4096
_BURST = 10.0
_PER_SECOND = 1.0
_REMEMBERED = 256
_MAX_PENDING = 100


@dataclass(frozen=True, slots=True)
class CommandResponse:
    """What goes back: the result and the MQTT 5 correlation data of the request."""

    result: CommandResultPayload
    correlation: bytes


@dataclass(frozen=True, slots=True)
class _Request:
    """A command that arrived; `seen` is the id its sender gave, "" if none."""

    verb: str
    target: str
    seen: str
    correlation: bytes


class MqttCommandHandler:
    """Takes commands in and hands answers out; one thread at a time."""

    def __init__(self, topics: Topics, node: str) -> None:
        self._topics = topics
        self._node = node
        self._pending: dict[str, _Request] = {}
        self._answered: OrderedDict[str, CommandResultPayload | None] = OrderedDict()
        self._tokens = _BURST
        self._refilled = 0.0
        self._grumbled = float("-inf")

    def take(self, message: Received, now: float) -> Command | CommandResponse | None:
        """Return the command in `message`, an answer if it cannot be run, None if it is ignored.

        A retained message is an old wish, and a command whose id was seen runs only once.
        """
        request = self._address(message)
        if request is None or message.retained:
            return None
        if not self._allowed(now):
            return self._grumble(request, now)
        payload = _payload(message.payload)
        if isinstance(payload, str):
            named = replace(request, seen=_id(message.payload))
            return self._answer(named, ok=False, detail=payload)
        known = CAMERA_VERBS if request.target else NODE_VERBS
        if request.verb not in known:
            verbs = ", ".join(sorted(known))
            named = replace(request, seen=payload.id)
            return self._answer(named, ok=False, detail=f"no such command here; expected {verbs}")
        return self._admit(request, payload)

    def concerns(self, message: Received) -> bool:
        """Return whether the message is addressed to this desk."""
        return self._address(message) is not None

    def done(self, result: CommandResult) -> CommandResponse | None:
        """Return the answer to the command that this is the result of; None if it is not ours."""
        request = self._pending.pop(result.id, None)
        if request is None:
            return None
        return self._answer(request, ok=result.ok, detail=result.detail)

    def _address(self, message: Received) -> _Request | None:
        for topic in (Topic.CAMERA_COMMAND, Topic.NODE_COMMAND):
            names = self._topics.parse(topic, message.topic)
            if names is not None:
                return _named(names, message.correlation)
        return None

    def _admit(self, request: _Request, payload: CommandPayload) -> Command | CommandResponse | None:
        target = request.target or payload.target
        request = _Request(request.verb, target, payload.id, request.correlation)
        if payload.id in self._answered:
            earlier = self._answered[payload.id]
            return None if earlier is None else CommandResponse(earlier, request.correlation)
        if request.verb == "acknowledge" and not target:
            return self._answer(request, ok=False, detail="`target` must be the id of a violation")
        if len(self._pending) >= _MAX_PENDING:
            return self._answer(request, ok=False, detail="too many commands wait for an answer")
        key = f"mqtt-{uuid4()}"
        self._pending[key] = request
        self._remember(payload.id, None)
        verb = "disable" if request.verb == "enable" and not payload.on else request.verb
        return Command(id=key, verb=verb, target=target, seconds=payload.seconds, origin="mqtt")

    def _answer(self, request: _Request, *, ok: bool, detail: str) -> CommandResponse:
        result = CommandResultPayload(
            version=VERSION,
            node=self._node,
            id=request.seen,
            verb=request.verb,
            target=request.target,
            ok=ok,
            detail=detail,
        )
        self._remember(request.seen, result)
        return CommandResponse(result, request.correlation)

    def _remember(self, seen: str, result: CommandResultPayload | None) -> None:
        if not seen:
            return
        self._answered[seen] = result
        if len(self._answered) > _REMEMBERED:
            self._answered.popitem(last=False)

    def _allowed(self, now: float) -> bool:
        self._tokens = min(_BURST, self._tokens + (now - self._refilled) * _PER_SECOND)
        self._refilled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _grumble(self, request: _Request, now: float) -> CommandResponse | None:
        """Answer one refusal a second, lest a flood of commands becomes a flood of answers."""
        if now - self._grumbled < 1:
            return None
        self._grumbled = now
        detail = f"too many commands: {_PER_SECOND:.0f} a second, {_BURST:.0f} at once"
        return self._answer(request, ok=False, detail=detail)


def _named(names: Mapping[str, str], correlation: bytes) -> _Request:
    return _Request(names["verb"], names.get("camera", ""), "", correlation)


class _Named(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(max_length=64)] = ""


def _id(data: bytes) -> str:
    """Return the id in a message that is wrong otherwise, "" if there is none."""
    try:
        return msgspec.json.decode(data[:_MOST_BYTES], type=_Named).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""


def _payload(data: bytes) -> CommandPayload | str:
    """Return what the message says, or what is wrong with it."""
    if len(data) > _MOST_BYTES:
        return f"the message has {len(data)} bytes, {_MOST_BYTES} at most are read"
    if not data.strip():
        return CommandPayload()
    try:
        return msgspec.json.decode(data, type=CommandPayload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return f"the message is no command: {error}"
