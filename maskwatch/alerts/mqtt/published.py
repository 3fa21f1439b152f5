"""Remembers which retained topics this installation has published, by broker and root.

The broker keeps a retained topic without limit. When the configuration no longer has it (discovery
switched off, another `node` or prefix), only this record says that it is this installation's to clear.
A topic is written to the file before it is first published, so that no kill can lose it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable
from pathlib import Path

import msgspec

from maskwatch.files import MIB, read_json, replace_file

log = logging.getLogger(__name__)

FILE_NAME = "mqtt-retained.json"
_MAX_BYTES = 16 * MIB
# Runs of one daemon whose `owner` message may still be the newest on the broker.
_MAX_OWNERS = 20


class _Root(msgspec.Struct):
    """What was published under one root, and the instances that published it, newest last."""

    owners: list[str] = []
    topics: set[str] = set()


class _Contents(msgspec.Struct):
    """The file: address of a broker -> root -> what was published."""

    version: int = 1
    brokers: dict[str, dict[str, _Root]] = {}


class PublishedTopics:
    """The retained topics that were published to one broker; used by one thread.

    Attributes:
        broker: its address.
        root: first levels of the topics that `add` takes; an entity of discovery belongs to it, too.
        instance: random id of this run, the same as in its `owner` message.
    """

    def __init__(self, path: Path, broker: str, root: str, instance: str) -> None:
        self.broker = broker
        self.root = root
        self.instance = instance
        self._path = path
        _remove_unfinished(path)
        self._contents = _read(path)
        self._roots = self._contents.brokers.setdefault(broker, {})
        self._unsaved = False
        self._save_failed = False

    @property
    def earlier_roots(self) -> list[str]:
        """The roots of earlier configurations under which topics may remain."""
        return [root for root in self._roots if root != self.root]

    def topics(self, root: str) -> frozenset[str]:
        return frozenset(self._roots[root].topics) if root in self._roots else frozenset()

    def was_published_by(self, instance: str, root: str) -> bool:
        """Return whether an instance that published under `root` is a run of this installation."""
        return instance == self.instance or (
            root in self._roots and instance in self._roots[root].owners
        )

    def add(self, topics: Iterable[str]) -> None:
        """Remember topics that are about to be published; write the file if one is new."""
        own = self._roots.setdefault(self.root, _Root())
        new = set(topics) - own.topics
        self._remove_from_earlier_roots(new)
        if self.instance not in own.owners:
            own.owners = [*own.owners, self.instance][-_MAX_OWNERS:]
        elif not new:
            return
        own.topics |= new
        self._unsaved = True
        self.save()

    def forget(self, topic: str) -> None:
        """Forget a topic that the broker no longer has."""
        if self.root in self._roots:
            self._roots[self.root].topics.discard(topic)
        self._remove_from_earlier_roots({topic})
        self._unsaved = True

    def forget_root(self, root: str) -> None:
        """Forget a root that another daemon uses now."""
        self._unsaved = self._roots.pop(root, None) is not None or self._unsaved

    def _remove_from_earlier_roots(self, topics: set[str]) -> None:
        for name in self.earlier_roots:
            self._roots[name].topics -= topics
            if not self._roots[name].topics:
                del self._roots[name]

    def save(self) -> None:
        """Write the file if it is not up to date; what cannot be written is retried with the next."""
        if not self._unsaved:
            return
        self._unsaved = False
        try:
            replace_file(self._path, msgspec.json.encode(self._contents, order="sorted"))
        except OSError as error:
            if not self._save_failed:
                log.warning(
                    "%s cannot be written: %s; retained topics may stay on the broker after a change "
                    "of the configuration",
                    self._path,
                    error.strerror,
                )
            self._save_failed = True
        else:
            self._save_failed = False


def _remove_unfinished(path: Path) -> None:
    """Remove what a kill inside `replace_file` left."""
    with contextlib.suppress(OSError):
        for unfinished in path.parent.glob(f".{path.name}.*"):
            unfinished.unlink()


def _read(path: Path) -> _Contents:
    try:
        return read_json(path, _MAX_BYTES, _Contents)
    except FileNotFoundError:
        return _Contents()
    except (OSError, msgspec.DecodeError) as error:
        log.warning("%s cannot be read and is written again: %s", path, error)
        return _Contents()
