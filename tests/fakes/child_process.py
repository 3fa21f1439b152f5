"""A child process that runs nowhere: a test speaks for it."""

from __future__ import annotations

import socket

import msgspec

from maskwatch.ipc.channel import Channel
from maskwatch.ipc.messages import Configure, ToChild, ToSupervisor
from maskwatch.ipc.wire import TO_CHILD, TO_SUPERVISOR

__all__ = ["FakeChild", "FakeOwner", "Nursery"]


class FakeChild:
    """Has a real channel; ends when the test says so, or when it is killed."""

    def __init__(self, module: str, configure: Configure) -> None:
        ours, theirs = socket.socketpair()
        self.module = module
        self.configure = configure
        self.channel: Channel[ToSupervisor] = Channel(ours, TO_SUPERVISOR)
        self.far: Channel[ToChild] = Channel(theirs, TO_CHILD)
        self.pid = 4242
        self.code: int | None = None
        self.killed = False

    def says(self, *messages: msgspec.Struct) -> None:
        for message in messages:
            assert self.far.send(message)

    def heard(self) -> list[ToChild]:
        return [message for message, _ in self.far.receive()]

    def ends(self, code: int) -> None:
        self.code = code

    def poll(self) -> int | None:
        return self.code

    def kill(self) -> None:
        self.killed = True
        self.code = -9 if self.code is None else self.code

    def wait(self, timeout: float) -> int | None:  # noqa: ARG002 - the real one's signature
        return self.code

    def close(self) -> None:
        self.channel.close()
        self.far.close()


class Nursery:
    """Gives birth to fake children, or refuses as a machine without memory does."""

    def __init__(self) -> None:
        self.children: list[FakeChild] = []
        self.refuses = False

    def __call__(self, module: str, configure: Configure) -> FakeChild:
        if self.refuses:
            raise OSError(12, "Cannot allocate memory")
        self.children.append(FakeChild(module, configure))
        return self.children[-1]

    @property
    def newest(self) -> FakeChild:
        return self.children[-1]

    def close(self) -> None:
        for child in self.children:
            child.close()


class FakeOwner:
    """Notes what a keeper tells it."""

    def __init__(self, configure: Configure) -> None:
        self._configure = configure
        self.heard_messages: list[ToSupervisor] = []
        self.ends: list[tuple[int, str]] = []
        self.watched = 0

    def configuration(self, keeper: object) -> Configure:
        return msgspec.structs.replace(self._configure, attempt=getattr(keeper, "attempt", 0))

    def watch(self, keeper: object) -> None:  # noqa: ARG002
        self.watched += 1

    def unwatch(self, keeper: object) -> None:  # noqa: ARG002
        self.watched -= self.watched > 0

    def heard(self, keeper: object, message: ToSupervisor) -> None:  # noqa: ARG002
        self.heard_messages.append(message)

    def changed(self, keeper: object) -> None:
        pass

    def ended(self, keeper: object, code: int, reason: str) -> None:  # noqa: ARG002
        self.ends.append((code, reason))
