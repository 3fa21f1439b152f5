"""What is made from the schema is what stands in the repository."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import msgspec
import msgspec.inspect as mi
import pytest
import yaml

from maskwatch.config.json_schema import json_schema
from maskwatch.config.load import check_config, load
from maskwatch.config.schema import Config, MqttConfig
from tools.config_reference import documents, example, keys

REMAKE = "run: python -m tools.reference"


def test_example_manual_and_json_schema_are_up_to_date(root: Path) -> None:
    for path, text in documents(root).items():
        assert path.read_text() == text, f"{path.name} is not what the schema says; {REMAKE}"


@pytest.mark.parametrize("environ", [{}, {"MQTT_PASSWORD": "m-pw"}])
def test_the_example_loads_with_and_without_its_environment(root: Path, environ: dict[str, str]) -> None:
    example_file = root / "config.example.yaml"
    if environ:
        text = example_file.read_text()
        assert all(f"${{{name}:-}}" in text for name in environ)
        environ = environ | {"YARD_PASSWORD": "y@rd"}
    found = check_config(example_file, environ=environ)
    # A password for the broker without a user name is a mistake, and the example says none.
    keys_wrong = {problem.key for problem in found.problems}
    assert keys_wrong <= {"mqtt.password"}
    if not environ:
        assert found.config is not None
        assert found.warnings == []


def test_reading_without_secrets_accepts_the_example(root: Path) -> None:
    """Whether an optional reference has a value is unknown there, so no rule may depend on it."""
    assert load(root / "config.example.yaml", environ={}, secrets=False).mqtt.enabled


def test_the_example_shows_every_key(root: Path) -> None:
    text = (root / "config.example.yaml").read_text()
    for section in _sections(Config):
        for key in keys(section):
            assert re.search(rf"^[ -]*{key.name}:", text, re.MULTILINE), key.name


def _sections(section: type[msgspec.Struct]) -> set[type[msgspec.Struct]]:
    inner = [key.section for key in keys(section) if key.section is not None]
    return {section}.union(*map(_sections, inner))


def test_the_example_shows_the_defaults_unless_a_comment_names_them(tmp_path: Path) -> None:
    """Sections whose comments name no other default load to the schema's defaults."""
    path = tmp_path / "c.yaml"
    path.write_text(example())
    config = load(path, environ={})
    # Cameras and people are lists, whose examples show entries.
    default = Config(cameras=config.cameras, people=config.people)
    assert config == default
    assert config.mqtt == MqttConfig()
    assert config.cameras[1].decision == config.cameras[0].decision


def test_the_examples_first_line_names_the_schema_by_a_path_that_exists(root: Path) -> None:
    first = (root / "config.example.yaml").read_text().splitlines()[0]
    named = first.removeprefix("# yaml-language-server: $schema=")
    assert not named.startswith(("/", "http"))
    assert json.loads((root / named).read_text())["title"] == "Configuration of maskwatch"


def test_the_json_schema_describes_every_key_and_holds_no_secret() -> None:
    schema = json.loads(json_schema())
    sections = {name: part for name, part in schema["$defs"].items() if part.get("type") == "object"}
    assert len(sections) == len(_sections(Config))
    for name, section in sections.items():
        assert section["additionalProperties"] is False, name
        for key, value in section["properties"].items():
            assert value.get("description"), f"{name}.{key} has no description"
    password = schema["$defs"]["CameraConfig"]["properties"]["password"]
    assert password["type"] == "string"
    assert "default" not in password


def test_the_json_schema_accepts_a_variable_in_place_of_a_number() -> None:
    rate = json.loads(json_schema())["$defs"]["CameraConfig"]["properties"]["rate"]
    kinds = {choice["type"] for choice in rate["anyOf"]}
    assert kinds == {"number", "string"}


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    schema = json.loads(json_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_an_editor_that_follows_the_schema_finds_nothing_wrong_with_the_example(
    validator: jsonschema.Draft202012Validator,
) -> None:
    errors = [error.message for error in validator.iter_errors(yaml.safe_load(example()))]
    assert errors == []


@pytest.mark.parametrize(
    ("text", "sound"),
    [
        ("{}", True),
        ("{rate: 0.5, rotation: 90, transport: udp}", True),
        ("{rate: '${RATE}', rotation: '${TURN:-90}', enabled: '${ON:-true}'}", True),
        ("{password: '${PW:-}', username: u}", True),
        ("{rate: 31}", False),
        ("{rotation: 45}", False),
        ("{transport: tpc}", False),
        ("{enabled: 1}", False),
        ("{smallest_face: 32.5}", False),
        ("{fps: 5}", False),
        ("{zones: [{name: z, polygon: [[0, 0], [1, 0]]}]}", False),
        ("{zones: [{name: z, polygon: [[0, 0], [1, 0], [1, 2]]}]}", False),
        ("{schedule: {start: '25:00'}}", False),
        ("{schedule: {days: [monday]}}", False),
    ],
)
def test_schema_and_loader_agree(
    text: str, sound: bool, validator: jsonschema.Draft202012Validator, tmp_path: Path
) -> None:
    camera = {"name": "a", "url": "rtsp://h/s"} | yaml.safe_load(text)
    document = yaml.safe_dump({"cameras": [camera]})
    path = tmp_path / "c.yaml"
    path.write_text(document)
    found = check_config(path, environ={"RATE": "5"})
    assert (found.problems == []) is sound, found.problems
    assert validator.is_valid(yaml.safe_load(document)) is sound


def test_every_pattern_is_described_in_words() -> None:
    """A message that shows a regular expression, or nothing at all, helps nobody."""
    for section in _sections(Config):
        info = mi.type_info(section)
        assert isinstance(info, mi.StructType)
        for field in info.fields:
            kind = field.type
            if isinstance(kind, mi.Metadata) and isinstance(kind.type, mi.StrType) and kind.type.pattern:
                assert (kind.extra or {}).get("words"), f"{section.__name__}.{field.name}"


def test_every_key_has_a_description_that_ends_as_a_sentence() -> None:
    for section in _sections(Config):
        for key in keys(section):
            assert key.description.endswith("."), f"{section.__name__}.{key.name}"
