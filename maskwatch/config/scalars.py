"""One written value: what the schema expects of it, in words, and its conversion."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec.inspect as mi

from maskwatch.config.findings import suggestion

__all__ = ["Text", "ValueProblem", "choices", "expected", "scalar"]

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
