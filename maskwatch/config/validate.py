"""Reads YAML nodes as values of the schema, and continues after every problem.

The result is always complete: a placeholder replaces what is wrong, so that the rules between keys
can be checked too. It may be used only if no problem was found.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import msgspec.inspect as mi
import yaml

from maskwatch.config.diagnostics import Diagnostics, KeyPath, suggestion
from maskwatch.config.substitute import SubstitutionContext, SubstitutionError, is_reference, variables
from maskwatch.config.yaml_nodes import Section, is_null, location
from maskwatch.domain.visible_text import character_name, hidden_character
from maskwatch.secrets import Secret, SecretUrl

_BOOLEANS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_INTEGER = re.compile(r"[-+]?\d{1,18}")
_DECIMAL = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d{1,3})?")
_WITH_UNIT = re.compile(rf"{_DECIMAL.pattern}\s*[A-Za-z%]+")
_MAX_SHOWN = 60
_MAX_TEXT = 8192
_CONSTRAINTS = ("gt", "ge", "lt", "le", "min_length", "max_length", "pattern")


class ValueProblem(Exception):  # noqa: N818 - it becomes a Problem, it is no error of its own
    """The value does not fit; `message` holds what was expected and what was found."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar after substitution.

    Attributes:
        value: the text.
        plain: whether it was written without quotes, or came from a variable.
        source: the variable it came from, "" if it is written in the file. Such a value is not
            shown: the variable may be a secret that was named in the wrong place.
    """

    value: str
    plain: bool
    source: str = ""

    @property
    def shown(self) -> str:
        """The value as a message shows it."""
        if self.source:
            return f"the value of {self.source}"
        if not self.value:
            return "an empty text"
        text = self.value if len(self.value) <= _MAX_SHOWN else f"{self.value[:_MAX_SHOWN]}..."
        return text if self.plain and text.isprintable() else repr(text)


# --- single values -------------------------------------------------------------------------------


def convert(kind: mi.Type, text: Text) -> object:
    """Return `text` as the type `kind` (text, number, boolean, enum or literal).

    Raises:
        ValueProblem: it does not fit.
    """
    leaf = unwrapped(kind)
    match leaf:
        case mi.StrType():
            _check_visible(kind, text)
            return _checked(kind, str, text.value, text)
        case mi.BoolType():
            return _BOOLEANS[_matching(kind, text, lambda word: word.lower() in _BOOLEANS).lower()]
        case mi.IntType():
            return _checked(kind, int, int(_number(kind, text, _INTEGER)), text)
        case mi.FloatType():
            return _checked(kind, float, float(_number(kind, text, _DECIMAL)), text)
        case mi.EnumType() | mi.LiteralType():
            return _choice(choices(leaf), text)
    raise TypeError(f"the schema uses a type without a conversion: {kind}")


def _check_visible(kind: mi.Type, text: Text) -> None:
    extra = (kind.extra or {}) if isinstance(kind, mi.Metadata) else {}
    hidden = "" if extra.get("path") else hidden_character(text.value, str(extra.get("allowed", "")))
    if hidden:
        found = f"{character_name(hidden)} in {text.shown}"
        raise ValueProblem(f"expected visible characters, got {found}", "leave it out, or write a space")


def unwrapped(kind: mi.Type) -> mi.Type:
    """Return the type that a description or other metadata is attached to."""
    return kind.type if isinstance(kind, mi.Metadata) else kind


def expected(kind: mi.Type) -> str:  # noqa: PLR0911 - one line for each type
    """Return in words which values `kind` takes."""
    match kind:
        case mi.Metadata():
            return str((kind.extra or {}).get("words", "")) or expected(kind.type)
        case mi.UnionType():
            return " or ".join(expected(t) for t in kind.types if not isinstance(t, mi.NoneType))
        case mi.StrType():
            return f"a text{_length(kind)}"
        case mi.IntType() | mi.FloatType():
            return f"a {'whole ' if isinstance(kind, mi.IntType) else ''}number{_range(kind)}"
        case mi.EnumType() | mi.LiteralType():
            return _alternatives(list(choices(kind)))
        case mi.TupleType():
            return f"a list of {len(kind.item_types)} values"
    return _EXPECTED.get(type(kind), "a text")


_EXPECTED: dict[type[mi.Type], str] = {
    mi.BoolType: "true or false",
    mi.VarTupleType: "a list",
    mi.StructType: "a section of keys and values",
}


def choices(kind: mi.EnumType | mi.LiteralType) -> dict[str, object]:
    """Return the words that may be written, and the value of each."""
    if isinstance(kind, mi.EnumType):
        return {str(member.value): member for member in kind.cls}
    return {str(value): value for value in kind.values}


def _checked(kind: mi.Type, python: type, value: float | str, text: Text) -> object:
    """Return `value` if it meets the constraints of the schema (range, length, pattern)."""
    leaf = unwrapped(kind)
    constraints: dict[str, Any] = {
        name: limit for name in _CONSTRAINTS if (limit := getattr(leaf, name, None)) is not None
    }
    try:
        checked: object = msgspec.convert(value, Annotated[python, msgspec.Meta(**constraints)])
    except msgspec.ValidationError:
        checked = None
    # `$` of a pattern matches before a final newline too; no bound need exclude infinity.
    ends = "pattern" in constraints and str(value).endswith("\n")
    if checked is None or ends or (isinstance(value, float) and math.isinf(value)):
        raise ValueProblem(f"expected {expected(kind)}, got {text.shown}")
    return checked


def _number(kind: mi.Type, text: Text, form: re.Pattern[str]) -> str:
    unit = "write the number alone; the unit is fixed"
    has_unit = not text.source and _WITH_UNIT.fullmatch(text.value)
    return _matching(kind, text, lambda word: form.fullmatch(word) is not None, unit if has_unit else "")


def _matching(kind: mi.Type, text: Text, fits: Callable[[str], bool], hint: str = "") -> str:
    """Return the text if it is written without quotes and fits."""
    if text.plain and fits(text.value):
        return text.value
    if not text.plain and fits(text.value):
        hint = "leave the quotes out"
    raise ValueProblem(f"expected {expected(kind)}, got {text.shown}", hint)


def _choice(words: dict[str, object], text: Text) -> object:
    if text.value in words:
        return words[text.value]
    hint = "" if text.source else suggestion(text.value, words)
    raise ValueProblem(f"expected {_alternatives(list(words))}, got {text.shown}", hint)


def _alternatives(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _length(kind: mi.StrType) -> str:
    low, high = kind.min_length or 0, kind.max_length
    if high is not None:
        return f" of {low} to {high} characters"
    return " that is not empty" if low == 1 else f" of {low} characters or more" if low else ""


def _range(kind: mi.IntType | mi.FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f" from {kind.ge:.10g} to {kind.le:.10g}"
    low = "" if kind.gt is None else f"more than {kind.gt:.10g}"
    low = low if kind.ge is None else f"{kind.ge:.10g} or more"
    high = "" if kind.lt is None else f"less than {kind.lt:.10g}"
    high = high if kind.le is None else f"at most {kind.le:.10g}"
    bounds = " and ".join(filter(None, (low, high)))
    return f", {bounds}" if bounds else ""


# What other programs call it.
_OTHER_NAMES = {
    "fps": "rate",
    "frame_rate": "rate",
    "uri": "url",
    "source": "url",
    "address": "url",
    "min_face": "smallest_face",
    "broker": "mqtt",
    "prometheus": "metrics",
    "logging": "log",
    "logs": "log",
    "database": "store",
    "sub_stream": "substream",
    "streams": "cameras",
    "rotate": "rotation",
    "tz": "time_zone",
}
# An address that lacks its scheme, rather than a file's path.
_HOST = re.compile(r"rtsps?:|\d+(\.\d+){3}\b|[\w.-]+:\d+(/|$)", re.IGNORECASE)


class Validator:
    """Reads nodes as values of the schema; notes locations and problems in `diagnostics`."""

    def __init__(self, diagnostics: Diagnostics, context: SubstitutionContext) -> None:
        self._diagnostics = diagnostics
        self._context = context

    def value(self, node: yaml.Node, kind: mi.Type, path: KeyPath) -> object:
        """Return the value of `node` as `kind`; a placeholder if it does not fit."""
        self._diagnostics.locations[path] = location(node)
        inner = unwrapped(kind)
        if isinstance(inner, mi.UnionType):
            return None if is_null(node) else self.value(node, inner.types[0], path)
        if isinstance(inner, mi.StructType):
            return self._section(node, inner, path)
        if isinstance(inner, mi.VarTupleType):
            return self._list(node, inner, path)
        return (
            self._row(node, inner, path)
            if isinstance(inner, mi.TupleType)
            else self._leaf(node, kind, path)
        )

    def _leaf(self, node: yaml.Node, kind: mi.Type, path: KeyPath) -> object:
        if not isinstance(node, yaml.ScalarNode) or is_null(node):
            return self._mismatch(node, kind, path)
        if len(node.value) > _MAX_TEXT:
            message = f"expected at most {_MAX_TEXT} characters, got {len(node.value)}"
            self._diagnostics.add_problem(path, message)
            return _placeholder(kind)
        secret = isinstance(unwrapped(kind), mi.CustomType)
        try:
            return self._secret(node, kind, path) if secret else self._scalar(node, kind)
        except (SubstitutionError, ValueProblem) as problem:
            report = self._diagnostics.add_missing_secret if secret else self._diagnostics.add_problem
            report(path, problem.message, problem.hint)
            if isinstance(problem, SubstitutionError) and problem.temporary:
                self._diagnostics.add_unavailable(path, problem.message)
            return _placeholder(kind)

    # --- sections --------------------------------------------------------------------------------

    def _section(self, node: yaml.Node, kind: mi.StructType, path: KeyPath) -> object:
        if not isinstance(node, Section) and not is_null(node):
            return self._mismatch(node, kind, path)
        values: dict[str, object] = {}
        entries = node.entries if isinstance(node, Section) else {}
        fields = {field.encode_name: field for field in kind.fields}
        for name, (_, child) in entries.items():
            if name in fields:
                values[fields[name].name] = self.value(child, fields[name].type, (*path, name))
        if isinstance(node, Section):
            self._report_keys(node, kind, path)
        for name, field in fields.items():
            if field.required and name not in entries:
                hint = _description(field.type)
                self._diagnostics.add_problem((*path, name), "missing", hint, location(node))
        return _filled(kind, values)

    def _report_keys(self, node: Section, kind: mi.StructType, path: KeyPath) -> None:
        """Report keys that the schema lacks, and keys that are given twice."""
        known = {field.encode_name for field in kind.fields}
        for name, (key, _) in node.entries.items():
            if name not in known and (path or not name.startswith("x-")):
                where = location(node if name in node.inherited else key)
                self._diagnostics.add_problem((*path, name), "unknown key", _key_hint(name, kind), where)
        for key in node.repeated:
            first = location(node.entries[key.value][0]).line
            message = f"given twice, first in line {first}"
            self._diagnostics.add_problem((*path, key.value), message, "", location(key))

    # --- lists -----------------------------------------------------------------------------------

    def _list(self, node: yaml.Node, kind: mi.VarTupleType, path: KeyPath) -> object:
        if not isinstance(node, yaml.SequenceNode) and not is_null(node):
            return self._mismatch(node, kind, path, "each item on a line of its own after `- `")
        items = node.value if isinstance(node, yaml.SequenceNode) else []
        minimum = kind.min_length or 0
        if len(items) < minimum:
            entries = "at least one entry" if minimum == 1 else f"at least {minimum} entries"
            self._diagnostics.add_problem(path, f"expected {entries}, got {len(items)}")
        if kind.max_length is not None and len(items) > kind.max_length:
            message = f"expected at most {kind.max_length} entries, got {len(items)}"
            self._diagnostics.add_problem(path, message)
            items = []
        return tuple(self.value(item, kind.item_type, (*path, i)) for i, item in enumerate(items))

    def _row(self, node: yaml.Node, kind: mi.TupleType, path: KeyPath) -> object:
        if not isinstance(node, yaml.SequenceNode) or len(node.value) != len(kind.item_types):
            return self._mismatch(node, kind, path)
        pairs = zip(node.value, kind.item_types, strict=True)
        return tuple(self.value(item, t, (*path, i)) for i, (item, t) in enumerate(pairs))

    # --- single values ---------------------------------------------------------------------------

    def _scalar(self, node: yaml.ScalarNode, kind: mi.Type) -> object:
        names = self._hide_variables(node)
        text = Text(
            self._context.substituted(node.value),
            plain=not node.style or bool(names),
            source=f"${{{names[0]}}}" if names else "",
        )
        value = convert(kind, text)
        is_path = isinstance(kind, mi.Metadata) and (kind.extra or {}).get("path")
        return str(self._context.path(str(value))) if is_path and value else value

    def _hide_variables(self, node: yaml.ScalarNode) -> list[str]:
        """Return the variables that a value refers to; messages no longer show what they hold."""
        names = variables(node.value)
        for name in names:
            self._diagnostics.hide_value(self._context.environ.get(name, ""), name)
        return names

    def _secret(self, node: yaml.ScalarNode, kind: mi.Type, path: KeyPath) -> Secret:
        leaf = unwrapped(kind)
        if isinstance(leaf, mi.CustomType) and leaf.cls is SecretUrl:
            return self._address(node, path)
        if node.value and not is_reference(node.value):
            self._diagnostics.literal_secrets.append(path)
        return Secret(self._context.secret(node.value))

    def _address(self, node: yaml.ScalarNode, path: KeyPath) -> SecretUrl:
        self._hide_variables(node)
        text = self._context.address(node.value)
        if _holds_password(node.value):
            self._diagnostics.literal_secrets.append(path)
        is_file = bool(text) and "://" not in text and not _HOST.match(text)
        return SecretUrl(str(self._context.path(text)) if is_file else text)

    def _mismatch(self, node: yaml.Node, kind: mi.Type, path: KeyPath, hint: str = "") -> object:
        """Report a node of the wrong shape; return a placeholder for its value."""
        if is_null(node):
            hint = "leave the key out, or write '' for an empty text"
        found = _shape(node, counted=isinstance(kind, mi.TupleType))
        self._diagnostics.add_problem(path, f"expected {expected(kind)}, got {found}", hint)
        return _placeholder(kind)


def _shape(node: yaml.Node, *, counted: bool) -> str:
    """Return what a node is, without its text: that may be a secret in the wrong place."""
    if isinstance(node, yaml.ScalarNode):
        return "nothing" if is_null(node) else "a single value"
    if isinstance(node, yaml.SequenceNode):
        return f"a list of {len(node.value)}" if counted else "a list"
    return "a section"


def _holds_password(text: str) -> bool:
    """Return whether the file's text of an address has a password in plain."""
    parts = text.partition("://")[2].partition("@")
    password = parts[0].partition(":")[2] if parts[1] else ""
    return bool(password) and not variables(password)


def _description(kind: mi.Type) -> str:
    """Return a key's description for a message, without its full stop."""
    extra = kind.extra_json_schema or {} if isinstance(kind, mi.Metadata) else {}
    return str(extra.get("description", "")).rstrip(".")


def _key_hint(name: str, kind: mi.StructType) -> str:
    """Return a hint for an unknown key: a similar one here, or the section that has such a key."""
    known = [field.encode_name for field in kind.fields]
    other = _OTHER_NAMES.get(name.casefold())
    if other in known:
        return f"did you mean `{other}`?"
    similar = suggestion(name, known)
    section = "" if similar else _section_with(name, kind)
    return similar or (f"it belongs into `{section}`" if section else f"known here: {', '.join(known)}")


def _section_with(name: str, kind: mi.StructType) -> str:
    """Return the section under `kind` that has a key `name`."""
    for field in kind.fields:
        inner = unwrapped(field.type)
        if isinstance(inner, mi.VarTupleType):
            inner = inner.item_type
        if isinstance(inner, mi.StructType) and any(f.encode_name == name for f in inner.fields):
            return field.encode_name
    return ""


def _filled(kind: mi.StructType, values: dict[str, object]) -> msgspec.Struct:
    """Return the struct with `values`, placeholders for required fields, defaults for the rest."""
    missing = {f.name: _placeholder(f.type) for f in kind.fields if f.required and f.name not in values}
    struct = kind.cls(**values, **missing)
    assert isinstance(struct, msgspec.Struct)
    return struct


def _placeholder(kind: mi.Type) -> object:
    """Return a value of the right type for what could not be read."""
    match unwrapped(kind):
        case mi.CustomType() as custom:
            return custom.cls("")
        case mi.EnumType() | mi.LiteralType() as choice:
            return next(iter(choices(choice).values()))
        case mi.TupleType() as row:
            return tuple(_placeholder(item) for item in row.item_types)
        case mi.StructType() as section:
            return _filled(section, {})
        case leaf:
            return _EMPTY[type(leaf)]


_EMPTY: dict[type[mi.Type], object] = {
    mi.StrType: "",
    mi.BoolType: False,
    mi.IntType: 0,
    mi.FloatType: 0.0,
    mi.VarTupleType: (),
}
