"""Writes the software bills of materials (CycloneDX 1.6, JSON): `make sbom`.

    python -m tools.supply_chain.sbom [--out build/sbom]

`run.cdx.json` lists what `requirements/run.txt` installs on this platform, `image.cdx.json` what the
container image contains; both list the models. Licences, dependencies and bundled native libraries come
from the installed packages. What is not installed here has only name, version and hashes, and the
property `maskwatch:metadata` says so. The same commit and packages give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import re
import subprocess
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.model.license import License
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from tools.supply_chain.locks import ROOT, Locked, licence_of, lock_file, needs, read_lock

MODELS = ROOT / "models"
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
_EXTRAS: dict[str, tuple[str, ...]] = {"run": (), "image": ("people", "vault")}
_FROM = re.compile(
    r"^FROM (?P<name>[^:@\s]+):(?P<tag>[^@\s]+)@sha256:(?P<digest>[0-9a-f]{64})", re.MULTILINE
)
_NATIVE = re.compile(r"\.so(\.\d+)*$")


def bill(name: str) -> Bom:
    """Return the bill of a set of requirements; that of the set `image` includes the base image."""
    bom = Bom()
    bom.metadata.component = product = _product()
    locks = read_lock(lock_file(name))
    packages = {each.name: _package(each) for each in locks}
    others = [*_models(), *([_base_image()] if name == "image" else [])]
    for component in (*packages.values(), *others):
        bom.components.add(component)
    for each in locks:
        wanted = needs(each.distribution) if each.distribution else ()
        bom.register_dependency(packages[each.name], [packages[n] for n in wanted if n in packages])
    wanted = needs(metadata.distribution("maskwatch"), *_EXTRAS[name])
    bom.register_dependency(product, [*(packages[n] for n in wanted if n in packages), *others])
    bom.metadata.timestamp = _commit_time()
    bom.serial_number = uuid.uuid5(uuid.NAMESPACE_OID, _text(bom))
    return bom


def as_json(bom: Bom) -> str:
    """Return the document of a bill."""
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _text(bom: Bom) -> str:
    """Return what a bill says without its serial number, which is random until it is set."""
    document = json.loads(as_json(bom))
    del document["serialNumber"]
    return json.dumps(document, sort_keys=True)


def _commit_time() -> datetime:
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    return datetime.fromtimestamp(int(subprocess.check_output(command, text=True)), UTC)


def _product() -> Component:
    version = metadata.version("maskwatch")
    return Component(
        name="maskwatch",
        version=version,
        type=ComponentType.APPLICATION,
        bom_ref=f"maskwatch@{version}",
        licenses=[_licence("Apache-2.0")],
    )


def _package(locked: Locked) -> Component:
    """Return one package, with the hashes of its distribution files and its native libraries."""
    purl = PackageURL("pypi", None, locked.name, locked.version)
    installed = locked.distribution
    licence = licence_of(installed) if installed else None
    return Component(
        name=locked.name,
        version=locked.version,
        type=ComponentType.LIBRARY,
        purl=purl,
        bom_ref=str(purl),
        licenses=[_licence(licence)] if licence else (),
        # pip installs any one of these files; a hash of the component would be that of all.
        external_references=[
            ExternalReference(
                type=ExternalReferenceType.DISTRIBUTION,
                url=XsUri(str(purl)),
                comment=f"file {number}",
                hashes=[_sha256(digest)],
            )
            for number, digest in enumerate(locked.hashes, 1)
        ],
        properties=[_property("metadata", "installed" if installed else "not installed here")],
        components=_native_libraries(str(purl), installed.files or ()) if installed else (),
    )


def _native_libraries(owner: str, files: Iterable[metadata.PackagePath]) -> Iterator[Component]:
    """Yield the shared libraries that a wheel bundles in `NAME.libs`."""
    for file in files:
        if file.parts[0].endswith(".libs") and _NATIVE.search(file.name):
            content = Path(str(file.locate())).read_bytes()
            yield Component(
                name=file.name,
                type=ComponentType.FILE,
                bom_ref=f"{owner}#{file.name}",
                hashes=[_sha256(hashlib.sha256(content).hexdigest())],
            )


def _models() -> Iterator[Component]:
    """Yield the shipped models, from their manifests."""
    for path in sorted(MODELS.glob("*.json")):
        manifest = json.loads(path.read_text("utf-8"))
        source = manifest.get("source")
        yield Component(
            name=manifest["id"],
            version=manifest["sha256"][:12],
            type=ComponentType.MACHINE_LEARNING_MODEL,
            bom_ref=f"model:{manifest['id']}",
            description=manifest["description"],
            licenses=[_licence(manifest["licence"])],
            copyright=manifest.get("copyright"),
            hashes=[_sha256(manifest["sha256"])],
            external_references=[_published(source)] if source else (),
            properties=[_property("file", f"models/{manifest['file']}")],
        )


def _published(source: dict[str, str]) -> ExternalReference:
    """Return the published file that a model is made from."""
    return ExternalReference(
        type=ExternalReferenceType.SOURCE_DISTRIBUTION,
        url=XsUri(source["url"]),
        hashes=[_sha256(source["sha256"])],
    )


def _base_image() -> Component:
    """Return the base image of the last stage; its Debian packages are not listed."""
    *_, base = _FROM.finditer(DOCKERFILE.read_text("utf-8"))
    digest = f"sha256:{base['digest']}"
    purl = PackageURL("oci", None, base["name"], digest, qualifiers={"tag": base["tag"]})
    return Component(
        name=base["name"],
        version=base["tag"],
        type=ComponentType.CONTAINER,
        purl=purl,
        bom_ref=str(purl),
        hashes=[_sha256(base["digest"])],
        properties=[_property("contents", "not listed")],
    )


def _licence(expression: str) -> License:
    return LicenseFactory().make_from_string(expression)


def _property(name: str, value: str) -> Property:
    return Property(name=f"maskwatch:{name}", value=value)


def _sha256(digest: str) -> HashType:
    return HashType(alg=HashAlgorithm.SHA_256, content=digest)


def main() -> None:
    """Write the bills."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build/sbom", help="the folder")
    out: Path = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    for name in _EXTRAS:
        (path := out / f"{name}.cdx.json").write_text(as_json(bill(name)), "utf-8")
        print(path)


if __name__ == "__main__":
    main()
