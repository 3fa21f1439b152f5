"""From YAML text to a tree in which every value knows its place.

YAML is read event by event: nothing is constructed, no tag is obeyed, depth and size are bounded
before anything grows (aliases count as often as they are used), and a scalar stays the text that
was written, so that `start: 12:30` is a time and `version: 5` a name where the schema says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import yaml

__all__ = ["Listing", "Mapping", "Node", "Scalar", "SourceLocation", "YamlError", "parse"]

MAX_DEPTH = 40
MAX_NODES = 100_000
# The C parser where PyYAML was built with it: ten times as fast, the same events.
_Loader: type[yaml.SafeLoader | yaml.CSafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MERGE = "<<"


@dataclass(frozen=True, slots=True)
class SourceLocation:
    """Line and column in the file, from 1."""

    line: int
    column: int


class YamlError(Exception):
    """The text is no YAML that is taken here; nothing beyond this place was looked at."""

    def __init__(self, place: SourceLocation, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.place = place
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Scalar:
    """One value as it was written; `plain` means without quotes."""

    place: SourceLocation
    text: str
    plain: bool
    depth: int = 1
    size: int = 1

    @property
    def empty(self) -> bool:
        """Whether nothing (or YAML's null) was written."""
        return self.plain and self.text in ("", "~", "null", "Null", "NULL")


@dataclass(slots=True)
class Listing:
    """A list of values."""

    place: SourceLocation
    items: list[Node] = field(default_factory=list)
    depth: int = 1
    size: int = 1


@dataclass(slots=True)
class Mapping:
    """Keys and values in the file's order; `repeated` are the keys that were given again."""

    place: SourceLocation
    entries: dict[str, tuple[SourceLocation, Node]] = field(default_factory=dict)
    repeated: list[tuple[str, SourceLocation]] = field(default_factory=list)
    depth: int = 1
    size: int = 1


Node = Scalar | Listing | Mapping


def parse(text: str) -> Node | None:
    """Return the tree of the one document in `text`, None if there is none.

    Raises:
        TreeError: at the first thing that cannot be read.

    """
    try:
        return _Composer(yaml.parse(text, Loader=_Loader)).document()
    except yaml.MarkedYAMLError as error:
        raise _explained(error, text) from None


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being read."""

    node: Listing | Mapping
    anchor: str | None
    key: Scalar | None = None


class _Composer:
    """Builds the tree without recursion, so that hostile depth meets a message, not the stack's end."""

    def __init__(self, events: Iterator[yaml.Event]) -> None:
        self._events = events
        self._open: list[_Open] = []
        self._anchors: dict[str, Node | None] = {}
        self._root: Node | None = None

    def document(self) -> Node | None:
        """Read all events."""
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent) and self._root is not None:
                raise YamlError(_place(event), "a second document begins here; one was expected")
            if isinstance(event, yaml.NodeEvent):
                self._node(event)
            elif isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
                closed = self._open.pop()
                self._finish(closed.node, closed.anchor)
        return self._root

    def _node(self, event: yaml.NodeEvent) -> None:
        place = _place(event)
        if isinstance(event, yaml.AliasEvent):
            self._add(self._target(event, place))
        elif isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
            # An explicit tag asks for a type: the schema alone decides on types.
            if event.tag not in (None, "!"):
                hint = "a text that begins with '!' needs quotes"
                raise YamlError(place, "tags are not taken here", hint)
            self._begin(event, place)

    def _begin(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent, place: SourceLocation) -> None:
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        if isinstance(event, yaml.ScalarEvent):
            self._finish(Scalar(place, event.value, plain=not event.style), event.anchor)
            return
        node = Mapping(place) if isinstance(event, yaml.MappingStartEvent) else Listing(place)
        self._open.append(_Open(node, event.anchor))
        if len(self._open) > MAX_DEPTH:
            raise YamlError(place, f"nested deeper than {MAX_DEPTH} levels")

    def _target(self, event: yaml.AliasEvent, place: SourceLocation) -> Node:
        """Return what an alias means; its name is not shown, it may be a password without quotes."""
        if event.anchor not in self._anchors:
            hint = "a text that begins with '*' needs quotes"
            raise YamlError(place, "this alias has no anchor above it", hint)
        target = self._anchors[event.anchor]
        if target is None:
            raise YamlError(place, "this alias would contain itself")
        return target

    def _finish(self, node: Node, anchor: str | None) -> None:
        if anchor is not None:
            self._anchors[anchor] = node
        self._add(node)

    def _add(self, node: Node) -> None:
        """Hand a finished node to the list or mapping that is open."""
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        if isinstance(parent.node, Listing):
            parent.node.items.append(node)
        elif parent.key is None:
            if not isinstance(node, Scalar):
                raise YamlError(node.place, "a key must be a plain text")
            parent.key = node
            return
        else:
            _enter(parent.node, parent.key, node)
            parent.key = None
        _grow(parent.node, node)


def _enter(mapping: Mapping, key: Scalar, value: Node) -> None:
    if key.text == _MERGE and key.plain:
        _merge(mapping, value)
    elif key.text in mapping.entries and mapping.entries[key.text][0] != _INHERITED:
        mapping.repeated.append((key.text, key.place))
    else:
        mapping.entries[key.text] = (key.place, value)


_INHERITED = SourceLocation(0, 0)


def _merge(mapping: Mapping, value: Node) -> None:
    """Take over the keys of another mapping (`<<: *anchor`) that are not given here."""
    sources = value.items if isinstance(value, Listing) else [value]
    for source in sources:
        if not isinstance(source, Mapping):
            raise YamlError(source.place, "`<<` takes a section (or a list of sections) by its anchor")
        for key, (_, inherited) in source.entries.items():
            mapping.entries.setdefault(key, (_INHERITED, inherited))


def _grow(parent: Listing | Mapping, child: Node) -> None:
    parent.size += child.size
    parent.depth = max(parent.depth, child.depth + 1)
    if parent.size > MAX_NODES:
        raise YamlError(parent.place, f"more than {MAX_NODES} values, aliases counted as often as used")
    if parent.depth > MAX_DEPTH:
        raise YamlError(parent.place, f"nested deeper than {MAX_DEPTH} levels")


class _Mark(Protocol):
    """A position as either parser gives it, from 0."""

    @property
    def line(self) -> int: ...

    @property
    def column(self) -> int: ...


def _place(event: yaml.Event) -> SourceLocation:
    return _at(event.start_mark)


def _at(mark: _Mark | None) -> SourceLocation:
    return SourceLocation(1, 1) if mark is None else SourceLocation(mark.line + 1, mark.column + 1)


# What the two parsers of PyYAML say: (part of context or problem, our words, hint).
_EXPLANATIONS = (
    (
        "mapping values are not allowed",
        "`: ` is not expected here",
        "indent the keys of one section alike; a text that holds ': ' needs quotes",
    ),
    ("flow sequence", "the list that begins with '[' here is not closed or lacks a comma", ""),
    ("flow mapping", "the section that begins with '{' here is not closed or lacks a comma", ""),
    (
        "unknown escape",
        "an unknown escape stands in these double quotes",
        "single quotes take every character as it is",
    ),
    ("quoted scalar", "the quotes that begin here are not closed", ""),
    ("block collection", "the list's items do not stand in one column", "indent with spaces alike"),
    ("block mapping", "the section's keys do not stand in one column", "indent with spaces alike"),
    ("could not find expected ':'", "a key without ': ' and a value", ""),
)


def _explained(error: yaml.MarkedYAMLError, text: str) -> YamlError:
    said = f"{error.context or ''} {error.problem or ''}"
    if "cannot start any token" in said:
        return _bad_start(error.problem_mark, text)
    for part, message, hint in _EXPLANATIONS:
        if part in said:
            began = part in (error.context or "") and not part.startswith("block")
            return YamlError(_at(error.context_mark if began else error.problem_mark), message, hint)
    return YamlError(_at(error.problem_mark), f"not valid YAML: {error.problem}")


def _bad_start(mark: _Mark | None, text: str) -> YamlError:
    place = _at(mark)
    line = text.splitlines()[place.line - 1 : place.line]
    character = line[0][place.column - 1 : place.column] if line else ""
    if character == "\t":
        return YamlError(place, "a tab stands where spaces must", "indent with spaces")
    return YamlError(place, f"a value cannot begin with {character!r}", "put it in quotes")
