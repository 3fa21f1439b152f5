"""Passes the events of the children on to the parts of the supervisor that subscribe to them."""

from __future__ import annotations

from collections.abc import Mapping

from maskwatch.ipc.messages import ToSupervisor
from maskwatch.supervisor.child import ChildEvents, ManagedChild


class CurrentChildEvents(ChildEvents):
    """Passes events on, except those of a worker whose camera has another or none.

    `workers` are the current ones, by camera; the recorder's events are always passed on.
    """

    def __init__(self, workers: Mapping[str, ManagedChild]) -> None:
        self._workers = workers
        self._subscribers: list[ChildEvents] = []

    def subscribe(self, subscriber: ChildEvents) -> None:
        self._subscribers.append(subscriber)

    def started(self, child: ManagedChild) -> None:
        for subscriber in self._subscribers:
            subscriber.started(child)

    def received(self, child: ManagedChild, message: ToSupervisor) -> None:
        """Pass the event on, unless the camera has another worker now."""
        if not self._is_superseded(child):
            for subscriber in self._subscribers:
                subscriber.received(child, message)

    def changed(self, child: ManagedChild) -> None:
        """Pass the event on, unless the camera was removed."""
        camera = child.kind.camera
        if not camera or self._workers.get(camera) is child:
            for subscriber in self._subscribers:
                subscriber.changed(child)

    def ended(self, child: ManagedChild, code: int, reason: str) -> None:
        """Pass the event on, unless the camera has another worker now."""
        if not self._is_superseded(child):
            for subscriber in self._subscribers:
                subscriber.ended(child, code, reason)

    def removed(self, child: ManagedChild) -> None:
        """Pass the event on, unless the camera was added again."""
        if child.kind.camera not in self._workers:
            for subscriber in self._subscribers:
                subscriber.removed(child)

    def _is_superseded(self, child: ManagedChild) -> bool:
        return self._workers.get(child.kind.camera, child) is not child
