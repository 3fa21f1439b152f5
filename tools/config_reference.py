"""What is made from the schema of the configuration: the example, the manual, the JSON Schema.

The manual is docs/configuration.md with its tables of keys and exit codes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import msgspec
import msgspec.inspect as mi

from maskwatch.config.json_schema import json_schema
from maskwatch.config.schema import Config
from maskwatch.config.validate import choices, expected
from maskwatch.errors import MaskwatchError

EXAMPLE = "config.example.yaml"
MANUAL = "docs/configuration.md"
SCHEMA = "docs/schemas/config.schema.json"
BEGIN = "<!-- {}: made by python -m tools.reference, do not edit -->"
END = "<!-- {}: end -->"


def documents(root: Path) -> dict[Path, str]:
    """Return what each file made from the schema must hold, by its path under `root`."""
    text = (root / MANUAL).read_text()
    for name, part in (("exit codes", exit_codes()), ("keys", manual())):
        begin, end = BEGIN.format(name), END.format(name)
        head, tail = text.partition(begin)[0], text.partition(end)[2]
        text = f"{head}{begin}\n\n{part}\n{end}{tail}"
    return {root / EXAMPLE: example(), root / MANUAL: text, root / SCHEMA: json_schema()}


# --- keys of a section ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a section.

    Attributes:
        name: as written in the file.
        takes: the expected values, in words.
        default: None for a required key.
        description: its purpose.
        section: the class of its section, or of the sections in its list.
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
            default=_default_value(field),
            required=field.required,
            description=str((extra or {}).get("description", "")),
            section=item.cls if isinstance(item, mi.StructType) else None,
            listed=listed,
        )


def section_intro(section: type[msgspec.Struct]) -> str:
    """Return the first line of a section's docstring."""
    return (section.__doc__ or "").strip().splitlines()[0]


def _default_value(field: mi.Field) -> object:
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


# --- example --------------------------------------------------------------------------------------


_WIDTH = 98
_HEAD = f"""\
# yaml-language-server: $schema={SCHEMA}
#
# Every key of maskwatch's configuration, with its default, unless its comment names the default.
# A file of your own needs only `cameras`, each with `name` and `url`.
#
# Values may refer to the environment: ${{NAME}}, or ${{NAME:-default}} for values that are not secret.
# Secrets may also be `file:/path` or `credential:name` (systemd's LoadCredential).
# Relative paths start at the directory of this file. See docs/configuration.md.
# Check it with: maskwatch check config.yaml
"""
# Values that the example shows instead of the default, by key path.
_SHOWN = {
    "cameras.name": "entrance",
    "cameras.url": "rtsp://camera-1.example/stream1",
    "cameras.substream": "rtsp://camera-1.example/stream2",
    "cameras.time_zone": "Europe/Berlin",
    "cameras.zones.name": "door",
    "cameras.zones.polygon": "[[0.1, 0.2], [0.9, 0.2], [0.9, 1.0], [0.1, 1.0]]",
    "cameras.zones.schedule.start": '"07:00"',
    "cameras.zones.schedule.end": '"19:00"',
    "cameras.zones.schedule.except_dates": '["2026-12-25"]',
    "mqtt.password": "${MQTT_PASSWORD:-}",
    "links.key": "${LINKS_KEY:-}",
    "people.name": "guards",
    "people.url": "${GUARDS_URL:-}",
    "people.key": "${WEBHOOK_KEY:-}",
    "people.quiet_start": '"22:00"',
    "people.quiet_end": '"06:00"',
    "people.time_zone": "Europe/Berlin",
}
_SECOND_CAMERA = """\
  # A second camera, with the required keys only; credentials may be part of the address as well.
  - name: yard
    url: rtsp://viewer:${YARD_PASSWORD:-}@camera-2.example:554/h264
"""


def example() -> str:
    """Return the text of config.example.yaml."""
    return _HEAD + "".join(_section(Config, (), ""))


def _section(section: type[msgspec.Struct], path: tuple[str, ...], indent: str) -> Iterator[str]:
    for key in keys(section):
        yield "\n" if not path else ""
        yield from _comment(key, (*path, key.name), indent)
        yield from _entry(key, (*path, key.name), indent)


def _entry(key: Key, path: tuple[str, ...], indent: str) -> Iterator[str]:
    if key.section is None:
        yield f"{indent}{key.name}: {_shown(key, path)}\n"
        return
    yield f"{indent}{key.name}:\n"
    lines = "".join(_section(key.section, path, indent + ("    " if key.listed else "  ")))
    yield _as_item(lines, indent) if key.listed else lines
    if path == ("cameras",):
        yield "\n" + _SECOND_CAMERA


def _as_item(lines: str, indent: str) -> str:
    """Mark the first key (after its comment) as the beginning of a list's item."""
    deeper = f"{indent}    "
    first = next(line for line in lines.splitlines() if not line.startswith(f"{deeper}#"))
    before, _, after = lines.partition(first)
    return f"{before.replace(deeper, f'{indent}  ')}{indent}  - {first.lstrip()}{after}"


def _comment(key: Key, path: tuple[str, ...], indent: str) -> Iterator[str]:
    text = " ".join(filter(None, (key.description, _facts(key, path))))
    prefix = f"{indent}# "
    for line in textwrap.wrap(text, _WIDTH - len(prefix), break_on_hyphens=False):
        yield f"{prefix}{line}\n"


def _facts(key: Key, path: tuple[str, ...]) -> str:
    """Return expected values and default, where description and value do not show them."""
    if key.section is not None:
        return ""
    evident = key.takes in ("a text", "true or false", "a list of texts")
    facts = [] if evident or _description_lists_values(key) else [key.takes]
    if ".".join(path) in _SHOWN:
        facts.append("required" if key.required else f"default: {_yaml(key.default)}")
    return f"({'; '.join(facts)})" if facts else ""


def _description_lists_values(key: Key) -> bool:
    """Return whether the description names every word or number that the key takes."""
    listed = key.takes.removeprefix("a list of ").replace(" or ", ", ").split(", ")
    return all(word in key.description for word in listed)


def _shown(key: Key, path: tuple[str, ...]) -> str:
    return _SHOWN.get(".".join(path)) or _yaml(key.default)


def _yaml(value: object) -> str:
    if isinstance(value, Enum):
        return _yaml(str(value.value))
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "none"}[value]
    if isinstance(value, int | float):
        return f"{value:.10g}"
    if isinstance(value, tuple):
        return f"[{', '.join(_yaml(item) for item in value)}]"
    if isinstance(value, str):
        plain = value[:1].isalpha() or value[:1] == "/"
        return value if plain else f'"{value}"'
    return '""'


# --- manual ---------------------------------------------------------------------------------------


def manual() -> str:
    """Return the tables of every section in Markdown."""
    chapters: dict[type[msgspec.Struct], list[str]] = {}
    _collect(Config, "", chapters)
    return "\n".join(_chapter(titles, section) for section, titles in chapters.items())


def _collect(
    section: type[msgspec.Struct], title: str, chapters: dict[type[msgspec.Struct], list[str]]
) -> None:
    """Collect the keys of each section's occurrences, in the order of the file."""
    is_known = section in chapters
    chapters.setdefault(section, []).append(title)
    for key in keys(section):
        if key.section is not None and not is_known:
            inner = f"{title}.{key.name}" if title else key.name
            _collect(key.section, f"{inner}[]" if key.listed else inner, chapters)


def _chapter(titles: list[str], section: type[msgspec.Struct]) -> str:
    title = ", ".join(f"`{title}`" for title in titles) if titles != [""] else "The file"
    lines = [f"### {title}", "", section_intro(section), ""]
    lines += ["| key | takes | default | |", "|---|---|---|---|"]
    lines += [
        f"| `{key.name}` | {_cell(key.takes)} | {_default_cell(key)} | {_cell(key.description)} |"
        for key in keys(section)
    ]
    return "\n".join(lines) + "\n"


def _default_cell(key: Key) -> str:
    if key.required:
        return "required"
    if key.section is not None:
        return "none" if key.listed else ""
    return f"`{_yaml(key.default)}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def exit_codes() -> str:
    """Return the table of exit codes: each code described by the class that introduces it."""
    rows = {0: "success"}
    for kind in _descendants(MaskwatchError):
        rows.setdefault(kind.exit_code, _meaning(kind))
    table = "".join(f"| {code} | {meaning} |\n" for code, meaning in sorted(rows.items()))
    return f"| code | meaning |\n|---|---|\n{table}"


def _descendants(kind: type[MaskwatchError]) -> Iterator[type[MaskwatchError]]:
    yield kind
    for inner in kind.__subclasses__():
        yield from _descendants(inner)


def _meaning(kind: type[MaskwatchError]) -> str:
    if kind is MaskwatchError:
        return "an error without a code of its own"
    text = (kind.__doc__ or "").splitlines()[0].partition(";")[0].rstrip(".")
    return text[:1].lower() + text[1:]
