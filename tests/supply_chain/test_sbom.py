"""The software bills of materials."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tools.supply_chain.locks import lock_file, read_lock
from tools.supply_chain.sbom import as_json, bill


@pytest.fixture(scope="module")
def documents(tmp_path_factory: pytest.TempPathFactory, root: Path) -> dict[str, str]:
    """What `make sbom` writes."""
    out = tmp_path_factory.mktemp("sbom")
    subprocess.run([sys.executable, "-m", "tools.supply_chain.sbom", "--out", out], cwd=root, check=True)
    return {path.name.split(".")[0]: path.read_text("utf-8") for path in out.iterdir()}


def components(document: str, kind: str) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in json.loads(document)["components"] if each["type"] == kind}


@pytest.mark.parametrize("name", ["run", "image"])
def test_the_bill_of_materials_conforms_to_the_schema(documents: dict[str, str], name: str) -> None:
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(documents[name]) is None


@pytest.mark.parametrize("name", ["run", "image"])
def test_every_locked_package_is_listed_with_licence_and_hashes(
    documents: dict[str, str], name: str
) -> None:
    listed = components(documents[name], "library")
    assert {(n, c["version"]) for n, c in listed.items()} == {
        (each.name, each.version) for each in read_lock(lock_file(name))
    }
    for component in listed.values():
        assert component["licenses"], component["name"]
        assert all(file["hashes"] for file in component["externalReferences"])


def test_models_are_listed_with_their_files_hash_and_licence(
    documents: dict[str, str], root: Path
) -> None:
    models = components(documents["run"], "machine-learning-model")
    assert models.keys() == {path.stem for path in (root / "models").glob("*.json")}
    for model in models.values():
        file = root / next(each["value"] for each in model["properties"])
        assert model["hashes"] == [
            {"alg": "SHA-256", "content": hashlib.sha256(file.read_bytes()).hexdigest()}
        ]
        assert model["licenses"]


def test_only_the_image_lists_its_base_image(documents: dict[str, str], root: Path) -> None:
    assert components(documents["run"], "container") == {}
    base = components(documents["image"], "container")["python"]
    pinned = f"FROM python:{base['version']}@sha256:{base['hashes'][0]['content']}"
    assert (root / "deploy/Dockerfile").read_text("utf-8").count(pinned) == 2


def test_bundled_native_libraries_are_listed(documents: dict[str, str]) -> None:
    bundled = components(documents["run"], "library")["av"]["components"]
    assert any(each["name"].startswith("libavcodec") for each in bundled)


def test_the_same_packages_give_the_same_bill(documents: dict[str, str]) -> None:
    assert as_json(bill("run")) == documents["run"]
