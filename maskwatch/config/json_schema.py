"""The JSON Schema of the configuration file, for editors."""

from __future__ import annotations

import json
from enum import Enum

import msgspec

from maskwatch.config.schema import Config
from maskwatch.secrets import Secret


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


def _secret_schema(kind: type) -> dict[str, object]:
    if not issubclass(kind, Secret):
        raise NotImplementedError(f"no JSON Schema for {kind.__name__}")
    return {"type": "string"}


def _with_variables(node: object) -> dict[str, object]:
    """Accept a `${VARIABLE}` in place of every number, boolean and choice."""
    changed = _accepting_variables(node)
    assert isinstance(changed, dict)
    return changed


_VARIABLE = {"type": "string", "pattern": r"\$\{"}


def _accepting_variables(node: object) -> object:
    if isinstance(node, list):
        return [_accepting_variables(item) for item in node]
    if not isinstance(node, dict):
        return node
    inner = {
        key: _accepting_variables(value) for key, value in node.items() if key not in ("default", "enum")
    }
    inner |= {key: _plain(node[key]) for key in ("default", "enum") if key in node}
    if inner.get("type") in ("integer", "number", "boolean") or "enum" in inner:
        outer = {key: inner.pop(key) for key in ("description", "default") if key in inner}
        return {**outer, "anyOf": [inner, _VARIABLE]}
    return inner


def _plain(value: object) -> object:
    return value.value if isinstance(value, Enum) else value
