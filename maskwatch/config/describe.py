"""The schema as others read it: JSON Schema for editors, and one row per key for the manual."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import msgspec
import msgspec.inspect as mi

from maskwatch.config.scalars import choices, expected
from maskwatch.config.schema import Config
from maskwatch.secrets import Secret

__all__ = ["Key", "json_schema", "keys", "section_intro"]


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a section.

    Attributes:
        name: as written in the file.
        takes: what is expected, in words.
        default: None for a key that must be given.
        description: what it is for.
        section: the section under it, if it is one or a list of them.
        listed: whether it takes a list.

    """

    name: str
    takes: str
    default: object
    required: bool
    description: str
    section: type[msgspec.Struct] | None
    listed: bool


def keys(section: type[msgspec.Struct]) -> Iterator[Key]:
    """Yield the keys of a section in their order."""
    info = mi.type_info(section)
    assert isinstance(info, mi.StructType)
    for field in info.fields:
        inner = field.type.type if isinstance(field.type, mi.Metadata) else field.type
        extra = field.type.extra_json_schema if isinstance(field.type, mi.Metadata) else None
        listed = isinstance(inner, mi.VarTupleType)
        item = inner.item_type if isinstance(inner, mi.VarTupleType) else inner
        yield Key(
            name=field.encode_name,
            takes=_takes(field.type, inner),
            default=_default(field),
            required=field.required,
            description=str((extra or {}).get("description", "")),
            section=item.cls if isinstance(item, mi.StructType) else None,
            listed=listed,
        )


def section_intro(section: type[msgspec.Struct]) -> str:
    """Return what a section is, from its docstring."""
    return (section.__doc__ or "").strip().splitlines()[0]


def json_schema() -> str:
    """Return the JSON Schema (2020-12) of the file, as text with a final newline."""
    made = msgspec.json.schema(Config, schema_hook=_secret_schema)
    schema: dict[str, object] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of maskwatch",
        **_with_variables(made),
    }
    definitions = schema["$defs"]
    assert isinstance(definitions, dict)
    # Sections for anchors may be parked under keys of this form.
    definitions["Config"]["patternProperties"] = {"^x-": {}}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _default(field: mi.Field) -> object:
    """Return the default; None where there is none, or where nothing is the default."""
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return None if field.default is msgspec.NODEFAULT else field.default


def _takes(kind: mi.Type, inner: mi.Type) -> str:
    if not isinstance(inner, mi.VarTupleType):
        return expected(kind)
    item = inner.item_type
    if isinstance(item, mi.EnumType | mi.LiteralType):
        return f"a list of {', '.join(choices(item))}"
    if isinstance(item, mi.TupleType):
        return "a list of [x, y]"
    return "a list of sections" if isinstance(item, mi.StructType) else "a list of texts"


def _secret_schema(kind: type) -> dict[str, object]:
    if not issubclass(kind, Secret):
        raise NotImplementedError(f"the schema has no words for {kind.__name__}")
    return {"type": "string"}


def _with_variables(node: object) -> dict[str, object]:
    """Let a `${VARIABLE}` stand wherever a number, a truth value or one of some words may."""
    changed = _rewritten(node)
    assert isinstance(changed, dict)
    return changed


_VARIABLE = {"type": "string", "pattern": r"\$\{"}


def _rewritten(node: object) -> object:
    if isinstance(node, list):
        return [_rewritten(item) for item in node]
    if not isinstance(node, dict):
        return node
    inner = {key: _rewritten(value) for key, value in node.items() if key not in ("default", "enum")}
    inner |= {key: _plain(node[key]) for key in ("default", "enum") if key in node}
    if inner.get("type") in ("integer", "number", "boolean") or "enum" in inner:
        outer = {key: inner.pop(key) for key in ("description", "default") if key in inner}
        return {**outer, "anyOf": [inner, _VARIABLE]}
    return inner


def _plain(value: object) -> object:
    return value.value if isinstance(value, Enum) else value
