"""YAML text as PyYAML's nodes: every value has its line and column.

`yaml.compose` builds the nodes; no Python object is constructed from them. Tags are rejected, and
depth and size are bounded while the nodes grow (aliases count as often as they are used). A scalar
stays the text that was written: the schema alone decides that `start: 12:30` is a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import yaml
from yaml.composer import Composer

MAX_DEPTH = 40
MAX_NODES = 100_000
_MERGE = "<<"
_NULL = "tag:yaml.org,2002:null"


@dataclass(frozen=True, slots=True)
class SourceLocation:
    """Line and column in the file, from 1."""

    line: int
    column: int


class YamlError(Exception):
    """The text cannot be read as YAML; nothing after `location` was examined."""

    def __init__(self, location: SourceLocation, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.location = location
        self.message = message
        self.hint = hint


class Section(yaml.MappingNode):
    """A mapping with its merges (`<<`) resolved.

    Attributes:
        entries: key and value nodes by key, in the file's order; of a repeated key the first.
        inherited: the keys that only a merge brings in.
        repeated: the key nodes that occur again.
    """

    def __init__(self, node: yaml.MappingNode) -> None:
        super().__init__(node.tag, node.value, node.start_mark, node.end_mark)
        self.entries: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        self.inherited: set[str] = set()
        self.repeated: list[yaml.Node] = []
        for key, value in node.value:
            if key.value == _MERGE and not key.style:
                self._merge(value)
            elif key.value in self.entries and key.value not in self.inherited:
                self.repeated.append(key)
            else:
                self.entries[key.value] = (key, value)
                self.inherited.discard(key.value)

    def _merge(self, value: yaml.Node) -> None:
        for source in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if not isinstance(source, Section):
                message = "`<<` takes a section (or a list of sections) by its anchor"
                raise YamlError(location(source), message)
            for key, entry in source.entries.items():
                if key not in self.entries:
                    self.entries[key] = entry
                    self.inherited.add(key)


def parse(text: str) -> yaml.Node | None:
    """Return the root node of the one document in `text`, None if there is none.

    Every mapping in it is a `Section`.

    Raises:
        YamlError: at the first fault of the text.
    """
    try:
        return yaml.compose(text, Loader=_BoundedLoader)
    except yaml.MarkedYAMLError as error:
        raise _explained(error, text) from None


def is_null(node: yaml.Node) -> bool:
    """Return whether nothing (or YAML's null) was written."""
    return node.tag == _NULL


def location(node: yaml.Node | yaml.Event) -> SourceLocation:
    """Return where a node begins."""
    return _location(node.start_mark)


if TYPE_CHECKING or yaml.__with_libyaml__:

    class _Loader(Composer, yaml.CSafeLoader):
        """Parses in C, ten times as fast, and composes in Python, where the bounds are checked."""

        def __init__(self, stream: Any) -> None:
            yaml.CSafeLoader.__init__(self, stream)
            Composer.__init__(self)

else:
    _Loader = yaml.SafeLoader


class _BoundedLoader(_Loader):
    """Composes nodes without tags, within the bounds of depth and size."""

    def __init__(self, stream: Any) -> None:
        super().__init__(stream)
        self._parents: list[yaml.Node | None] = []
        self._extents: dict[yaml.Node, tuple[int, int]] = {}

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node:
        """Return the next node; `index` is None for a key of the mapping `parent`."""
        event = self.peek_event()
        self._parents.append(parent)
        self._check(event)
        node = super().compose_node(parent, index)  # type: ignore[arg-type]  # an int in the stubs only
        assert event is not None
        assert node is not None
        if isinstance(event, yaml.AliasEvent) and node in self._parents:
            raise YamlError(location(event), "this alias would contain itself")
        self._parents.pop()
        if isinstance(parent, yaml.MappingNode) and index is None:
            if not isinstance(node, yaml.ScalarNode):
                raise YamlError(location(event), "a key must be a plain text")
        elif parent is not None:
            self._grow(parent, node)
        return node

    def compose_mapping_node(self, anchor: Any) -> Section:
        """Return the mapping that begins here."""
        node = super().compose_mapping_node(anchor)
        section = Section(node)
        self._extents[section] = self._extents.pop(node, (1, 1))
        if anchor is not None:
            self.anchors[anchor] = section
        return section

    def _check(self, event: Any) -> None:
        """Reject a node before it is composed.

        Messages do not show the names of tags and aliases: one may be a password without quotes.
        """
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self.anchors:
                hint = "a text that begins with '*' needs quotes"
                raise YamlError(location(event), "this alias has no anchor above it", hint)
            return
        # An explicit tag asks for a type: the schema alone decides on types.
        if event.tag not in (None, "!"):
            hint = "a text that begins with '!' needs quotes"
            raise YamlError(location(event), "tags are not taken here", hint)
        if isinstance(event, yaml.CollectionStartEvent) and len(self._parents) > MAX_DEPTH:
            raise YamlError(location(event), f"nested deeper than {MAX_DEPTH} levels")
        # An anchor may be defined again; PyYAML alone would reject it.
        self.anchors.pop(event.anchor, None)

    def _grow(self, parent: yaml.Node, child: yaml.Node) -> None:
        size, depth = self._extents.get(parent, (1, 1))
        child_size, child_depth = self._extents.get(child, (1, 1))
        size, depth = size + child_size, max(depth, child_depth + 1)
        if size > MAX_NODES:
            message = f"more than {MAX_NODES} values, aliases counted as often as used"
            raise YamlError(location(parent), message)
        if depth > MAX_DEPTH:
            raise YamlError(location(parent), f"nested deeper than {MAX_DEPTH} levels")
        self._extents[parent] = size, depth


class _Mark(Protocol):
    """A position as either parser gives it, from 0."""

    @property
    def line(self) -> int: ...

    @property
    def column(self) -> int: ...


def _location(mark: _Mark | None) -> SourceLocation:
    return SourceLocation(1, 1) if mark is None else SourceLocation(mark.line + 1, mark.column + 1)


# (part of PyYAML's context or problem, message, hint)
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
    ("found another document", "a second document begins here; one was expected", ""),
    ("could not find expected ':'", "a key without ': ' and a value", ""),
)


def _explained(error: yaml.MarkedYAMLError, text: str) -> YamlError:
    problem = f"{error.context or ''} {error.problem or ''}"
    if "cannot start any token" in problem:
        return _bad_start(error.problem_mark, text)
    for part, message, hint in _EXPLANATIONS:
        if part in problem:
            began = part in (error.context or "") and not part.startswith("block")
            return YamlError(
                _location(error.context_mark if began else error.problem_mark), message, hint
            )
    return YamlError(_location(error.problem_mark), f"not valid YAML: {error.problem}")


def _bad_start(mark: _Mark | None, text: str) -> YamlError:
    position = _location(mark)
    line = text.splitlines()[position.line - 1 : position.line]
    character = line[0][position.column - 1 : position.column] if line else ""
    if character == "\t":
        return YamlError(position, "a tab stands where spaces must", "indent with spaces")
    return YamlError(position, f"a value cannot begin with {character!r}", "put it in quotes")
