"""Walks a tree of nodes along the schema, and goes on after every problem.

The result is always complete: what is wrong is replaced by its default (or an empty value), so that
the rules between keys can still be looked at. It may be used only if nothing wrong was found.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import msgspec.inspect as mi

from maskwatch.config.diagnostics import Diagnostics, KeyPath, suggestion
from maskwatch.config.substitute import SubstitutionContext, SubstitutionError, is_reference, variables
from maskwatch.config.yaml_nodes import Listing, Mapping, Node, Scalar
from maskwatch.secrets import Secret, SecretUrl

__all__ = ["Text", "Validator", "ValueProblem", "choices", "expected", "scalar"]

Number = TypeVar("Number", int, float)
_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})
_WHOLE = re.compile(r"[-+]?\d{1,18}")
_DECIMAL = re.compile(r"[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d{1,3})?")
_WITH_UNIT = re.compile(rf"{_DECIMAL.pattern}\s*[A-Za-z%]+")
_LONGEST_SHOWN = 60


class ValueProblem(Exception):  # noqa: N818 - it becomes a Problem, it is no error of its own
    """The value does not fit; `message` says what was expected and what stands there."""

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
        source: the variable it came from, "" if it stands in the file. Such a value is not shown:
            the variable may be a secret that was named in the wrong place.

    """

    value: str
    plain: bool
    source: str = ""

    @property
    def shown(self) -> str:
        """How the value is called in a message."""
        if self.source:
            return f"the value of {self.source}"
        if not self.value:
            return "an empty text"
        text = self.value if len(self.value) <= _LONGEST_SHOWN else f"{self.value[:_LONGEST_SHOWN]}..."
        return text if self.plain else repr(text)


def scalar(kind: mi.Type, text: Text, words: str = "") -> object:
    """Return `text` as the type `kind` (text, number, truth value, enum or literal).

    Raises:
        ValueProblem: it does not fit.

    """
    if isinstance(kind, mi.StrType):
        return _string(kind, text, words)
    if isinstance(kind, mi.BoolType):
        return _truth(text)
    if isinstance(kind, mi.IntType):
        return _in_range(kind, int(_digits(_WHOLE, kind, text)), text)
    if isinstance(kind, mi.FloatType):
        return _in_range(kind, float(_digits(_DECIMAL, kind, text)), text)
    if isinstance(kind, mi.EnumType | mi.LiteralType):
        return _choice(choices(kind), text)
    raise TypeError(f"the schema uses a type that the loader does not know: {kind}")


def expected(kind: mi.Type, words: str = "") -> str:  # noqa: PLR0911 - one line for each kind
    """Return what `kind` takes, in words."""
    if words:
        return words
    if isinstance(kind, mi.Metadata):
        return expected(kind.type, str((kind.extra or {}).get("words", "")))
    if isinstance(kind, mi.UnionType):
        return " or ".join(expected(t) for t in kind.types if not isinstance(t, mi.NoneType))
    if isinstance(kind, mi.StrType | mi.IntType | mi.FloatType):
        return _bounded(kind)
    if isinstance(kind, mi.EnumType | mi.LiteralType):
        return _alternatives([str(value) for value in choices(kind)])
    if isinstance(kind, mi.TupleType):
        return f"a list of {len(kind.item_types)} values"
    return _PLAINLY.get(type(kind), "a text")


_PLAINLY: dict[type[mi.Type], str] = {
    mi.BoolType: "true or false",
    mi.VarTupleType: "a list",
    mi.StructType: "a section of keys and values",
}


def choices(kind: mi.EnumType | mi.LiteralType) -> dict[str, object]:
    """Return what may be written, and the value that each word stands for."""
    if isinstance(kind, mi.EnumType):
        return {str(member.value): member for member in kind.cls}
    return {str(value): value for value in kind.values}


def _bounded(kind: mi.StrType | mi.IntType | mi.FloatType) -> str:
    if isinstance(kind, mi.StrType):
        return f"a text{_length(kind)}"
    return f"a {'whole ' if isinstance(kind, mi.IntType) else ''}number{_range(kind)}"


def _string(kind: mi.StrType, text: Text, words: str) -> str:
    value = text.value
    fits = (
        len(value) >= (kind.min_length or 0)
        and (kind.max_length is None or len(value) <= kind.max_length)
        and (kind.pattern is None or re.search(kind.pattern, value) is not None)
    )
    # `$` of a pattern would let a last newline pass.
    if not fits or (kind.pattern is not None and value.endswith("\n")):
        raise ValueProblem(f"expected {expected(kind, words)}, got {text.shown}")
    return value


def _truth(text: Text) -> bool:
    word = text.value.lower()
    if not text.plain or word not in _TRUE | _FALSE:
        raise ValueProblem(f"expected true or false, got {text.shown}", _unquote(text, _is_truth))
    return word in _TRUE


def _is_truth(word: str) -> bool:
    return word.lower() in _TRUE | _FALSE


def _digits(form: re.Pattern[str], kind: mi.IntType | mi.FloatType, text: Text) -> str:
    """Return the text if it is a number of this form."""
    if text.plain and form.fullmatch(text.value):
        return text.value
    hint = _unquote(text, lambda word: form.fullmatch(word) is not None)
    if not text.source and _WITH_UNIT.fullmatch(text.value):
        hint = "write the number alone; the unit is fixed"
    raise ValueProblem(f"expected {expected(kind)}, got {text.shown}", hint)


def _unquote(text: Text, fits: Callable[[str], bool]) -> str:
    return "leave the quotes out" if not text.plain and fits(text.value) else ""


def _in_range(kind: mi.IntType | mi.FloatType, value: Number, text: Text) -> Number:
    fits = (
        (kind.ge is None or value >= kind.ge)
        and (kind.gt is None or value > kind.gt)
        and (kind.le is None or value <= kind.le)
        and (kind.lt is None or value < kind.lt)
        and abs(value) != float("inf")
    )
    if not fits:
        raise ValueProblem(f"expected {expected(kind)}, got {text.shown}")
    return value


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
        return f" from {kind.ge:g} to {kind.le:g}"
    low = "" if kind.gt is None else f"more than {kind.gt:g}"
    low = low if kind.ge is None else f"{kind.ge:g} or more"
    high = "" if kind.lt is None else f"less than {kind.lt:g}"
    high = high if kind.le is None else f"at most {kind.le:g}"
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
    """Turns nodes into values of the schema, noting places and problems."""

    def __init__(self, findings: Diagnostics, surroundings: SubstitutionContext) -> None:
        self._findings = findings
        self._around = surroundings

    def value(self, node: Node, kind: mi.Type, path: KeyPath, words: str = "") -> object:
        """Return the value that `node` holds, as `kind` asks; a stand-in where it does not fit."""
        self._findings.places[path] = node.place
        if isinstance(kind, mi.Metadata):
            return self._described(node, kind, path)
        if isinstance(kind, mi.UnionType):
            return self._optional(node, kind, path)
        if isinstance(kind, mi.StructType | mi.VarTupleType | mi.TupleType):
            return self._container(node, kind, path)
        if not isinstance(node, Scalar) or node.empty:
            self._misfit(node, kind, path, words)
            return _stand_in(kind)
        is_secret = isinstance(kind, mi.CustomType)
        return self._secret(node, kind, path) if is_secret else self._scalar(node, kind, path, words)

    def _container(
        self, node: Node, kind: mi.StructType | mi.VarTupleType | mi.TupleType, path: KeyPath
    ) -> object:
        if isinstance(kind, mi.StructType):
            return self._section(node, kind, path)
        if isinstance(kind, mi.VarTupleType):
            return self._list(node, kind, path)
        return self._row(node, kind, path)

    def _described(self, node: Node, kind: mi.Metadata, path: KeyPath) -> object:
        extra = kind.extra or {}
        value = self.value(node, kind.type, path, str(extra.get("words", "")))
        if extra.get("path") and isinstance(value, str) and value:
            return str(self._around.path(value))
        return value

    def _optional(self, node: Node, kind: mi.UnionType, path: KeyPath) -> object:
        if isinstance(node, Scalar) and node.empty:
            return None
        (inner,) = (t for t in kind.types if not isinstance(t, mi.NoneType))
        return self.value(node, inner, path)

    # --- sections --------------------------------------------------------------------------------

    def _section(self, node: Node, kind: mi.StructType, path: KeyPath) -> msgspec.Struct:
        if isinstance(node, Scalar) and node.empty:
            node = Mapping(node.place)
        if not isinstance(node, Mapping):
            self._misfit(node, kind, path)
            return _stand_in_struct(kind, {})
        self._unknown(node, kind, path)
        fields = {f.encode_name: f for f in kind.fields}
        values: dict[str, object] = {}
        for name, (_, child) in node.entries.items():
            if name in fields:
                values[fields[name].name] = self.value(child, fields[name].type, (*path, name))
        self._missing(node, kind, path)
        return _stand_in_struct(kind, values)

    def _unknown(self, node: Mapping, kind: mi.StructType, path: KeyPath) -> None:
        known = [f.encode_name for f in kind.fields]
        for name, (place, _) in node.entries.items():
            if name in known or (not path and name.startswith("x-")):
                continue
            hint = _better(name, kind)
            where = place if place.line else node.place
            self._findings.wrong((*path, name), "unknown key", hint, where)
        for name, place in node.repeated:
            first = node.entries[name][0].line
            self._findings.wrong((*path, name), f"given twice, first in line {first}", "", place)

    def _missing(self, node: Mapping, kind: mi.StructType, path: KeyPath) -> None:
        for field in kind.fields:
            if field.required and field.encode_name not in node.entries:
                hint = _description(field.type)
                self._findings.wrong((*path, field.encode_name), "missing", hint, node.place)

    # --- lists -----------------------------------------------------------------------------------

    def _list(self, node: Node, kind: mi.VarTupleType, path: KeyPath) -> tuple[object, ...]:
        if isinstance(node, Scalar) and node.empty:
            node = Listing(node.place)
        if not isinstance(node, Listing):
            self._misfit(node, kind, path, hint="each item on a line of its own after `- `")
            return ()
        least = kind.min_length or 0
        if len(node.items) < least:
            entries = "at least one entry" if least == 1 else f"at least {least} entries"
            self._findings.wrong(path, f"expected {entries}, got {len(node.items)}")
        return tuple(self.value(item, kind.item_type, (*path, i)) for i, item in enumerate(node.items))

    def _row(self, node: Node, kind: mi.TupleType, path: KeyPath) -> tuple[object, ...]:
        if not isinstance(node, Listing) or len(node.items) != len(kind.item_types):
            self._misfit(node, kind, path)
            return tuple(_stand_in(t) for t in kind.item_types)
        pairs = zip(node.items, kind.item_types, strict=True)
        return tuple(self.value(item, t, (*path, i)) for i, (item, t) in enumerate(pairs))

    # --- single values ---------------------------------------------------------------------------

    def _scalar(self, node: Scalar, kind: mi.Type, path: KeyPath, words: str) -> object:
        try:
            names = self._hide_variables(node)
            text = Text(
                self._around.substituted(node.text),
                plain=node.plain or bool(names),
                source=f"${{{names[0]}}}" if names else "",
            )
            return scalar(kind, text, words)
        except (SubstitutionError, ValueProblem) as problem:
            self._findings.wrong(path, problem.message, problem.hint)
            return _stand_in(kind)

    def _hide_variables(self, node: Scalar) -> list[str]:
        """Return the names of the variables in a value; what they hold is not shown from now on."""
        names = variables(node.text)
        for name in names:
            self._findings.hide(self._around.environ.get(name, ""), name)
        return names

    def _secret(self, node: Scalar, kind: mi.Type, path: KeyPath) -> object:
        try:
            if _is_address(kind):
                return self._address(node, path)
            if node.text and not is_reference(node.text):
                self._findings.literal_secrets.append(path)
            return Secret(self._around.secret(node.text))
        except SubstitutionError as problem:
            self._findings.missing_secret(path, problem.message, problem.hint)
            return _stand_in(kind)

    def _address(self, node: Scalar, path: KeyPath) -> SecretUrl:
        self._hide_variables(node)
        text = self._around.address(node.text)
        if _holds_password(node.text):
            self._findings.literal_secrets.append(path)
        is_file = bool(text) and "://" not in text and not _HOST.match(text)
        return SecretUrl(str(self._around.path(text)) if is_file else text)

    def _misfit(self, node: Node, kind: mi.Type, path: KeyPath, words: str = "", hint: str = "") -> None:
        if isinstance(node, Scalar) and node.empty:
            hint = "leave the key out, or write '' for an empty text"
        said = f"expected {expected(kind, words)}, got {_called(node, kind)}"
        self._findings.wrong(path, said, hint)


def _called(node: Node, kind: mi.Type) -> str:
    """Return what stands there, without its text: it may be a secret in the wrong place."""
    if isinstance(node, Scalar):
        return "nothing" if node.empty else "a single value"
    if isinstance(node, Listing):
        return f"a list of {len(node.items)}" if isinstance(kind, mi.TupleType) else "a list"
    return "a section"


def _is_address(kind: mi.Type) -> bool:
    return isinstance(kind, mi.CustomType) and kind.cls is SecretUrl


def _holds_password(text: str) -> bool:
    """Return whether the file's text of an address has a password in plain."""
    parts = text.partition("://")[2].partition("@")
    password = parts[0].partition(":")[2] if parts[1] else ""
    return bool(password) and not variables(password)


def _description(kind: mi.Type) -> str:
    """Return a key's description for a message, without its full stop."""
    extra = kind.extra_json_schema or {} if isinstance(kind, mi.Metadata) else {}
    return str(extra.get("description", "")).rstrip(".")


def _better(name: str, kind: mi.StructType) -> str:
    """Return a hint for an unknown key: a like one here, or where such a key belongs."""
    known = [f.encode_name for f in kind.fields]
    other = _OTHER_NAMES.get(name.casefold())
    if other in known:
        return f"did you mean `{other}`?"
    near = suggestion(name, known)
    home = "" if near else _home_of(name, kind)
    return near or (f"it belongs into `{home}`" if home else f"known here: {', '.join(known)}")


def _home_of(name: str, kind: mi.StructType) -> str:
    """Return the section under `kind` that has a key `name`."""
    for field in kind.fields:
        inner = field.type.type if isinstance(field.type, mi.Metadata) else field.type
        if isinstance(inner, mi.VarTupleType):
            inner = inner.item_type
        if isinstance(inner, mi.StructType) and any(f.encode_name == name for f in inner.fields):
            return field.encode_name
    return ""


def _stand_in_struct(kind: mi.StructType, values: dict[str, object]) -> msgspec.Struct:
    for field in kind.fields:
        if field.required and field.name not in values:
            values[field.name] = _stand_in(field.type)
    made = kind.cls(**values)
    assert isinstance(made, msgspec.Struct)
    return made


def _stand_in(kind: mi.Type) -> object:  # noqa: PLR0911 - one line for each type
    """Return a value of the right type for what could not be read."""
    if isinstance(kind, mi.Metadata):
        return _stand_in(kind.type)
    if isinstance(kind, mi.UnionType):
        return None
    if isinstance(kind, mi.CustomType):
        return kind.cls("")
    if isinstance(kind, mi.EnumType):
        return next(iter(kind.cls))
    if isinstance(kind, mi.LiteralType):
        return kind.values[0]
    if isinstance(kind, mi.TupleType):
        return tuple(_stand_in(t) for t in kind.item_types)
    if isinstance(kind, mi.VarTupleType):
        return ()
    if isinstance(kind, mi.StructType):
        return _stand_in_struct(kind, {})
    return {mi.StrType: "", mi.BoolType: False, mi.IntType: 0, mi.FloatType: 0.0}[type(kind)]
