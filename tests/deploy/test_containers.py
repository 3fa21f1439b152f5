"""Checks of compose.yaml and the Dockerfile that need no build."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from maskwatch.config.load import load
from tests.deploy.containers import COMPOSE, DOCKERFILE, SERVICES
from tests.deploy.queries import DEPLOY

_IMAGE = re.compile(r"(?:^\s*image:|^FROM|docker run)\s+(\S+)", re.MULTILINE)
_PINNED = re.compile(r":v?\d+\.\d+\.\d+(-[a-z-]+)?@sha256:[0-9a-f]{64}$")


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if "build" not in service])
def test_every_image_is_pinned_to_a_full_version_and_its_digest(name: str) -> None:
    assert _PINNED.search(SERVICES[name]["image"])


def test_base_images_are_pinned_by_digest_and_both_stages_are_the_same() -> None:
    bases = re.findall(r"^FROM (?:--\S+ )?(\S+)", DOCKERFILE, re.MULTILINE)
    assert len(bases) == 2
    assert len(set(bases)) == 1
    assert _PINNED.search(bases[0])


def test_no_other_file_names_an_image_without_its_digest(root: Path) -> None:
    """Also what `docker run`, a unit or a later compose file would pull."""
    files = [path for path in (root / "deploy").rglob("*") if path.is_file() and path.suffix != ".md"]
    named = [
        match
        for path in files
        for match in re.findall(
            r"(?:^\s*image:|^FROM|docker run)\s+(\S+)", path.read_text("utf-8"), re.MULTILINE
        )
    ]
    assert [each for each in named if not _PINNED.search(each)] == ["maskwatch:0.1.0"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_mounted_file_is_there_or_made_by_the_instructions(name: str) -> None:
    made = {"./mosquitto/passwords"}
    for volume in SERVICES[name].get("volumes", []):
        source = volume.split(":")[0]
        if not source.startswith("."):
            assert source in COMPOSE["volumes"]
        elif source not in made:
            assert (DEPLOY / source).exists(), source
            assert volume.endswith(":ro"), volume


def test_nothing_is_published_beyond_this_machine() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_container_has_a_read_only_root_and_no_capabilities() -> None:
    daemon = SERVICES["maskwatch"]
    assert daemon["read_only"]
    assert daemon["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in daemon["security_opt"]
    assert "privileged" not in daemon
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)
    assert "HEALTHCHECK" in DOCKERFILE
    assert "--require-hashes" in DOCKERFILE


def test_everything_that_is_copied_into_the_image_is_there_and_not_ignored(root: Path) -> None:
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        for source in line.split():
            assert (root / source).exists(), source
            assert f"!{source.split('/')[0]}" in ignored


def test_all_that_the_wheel_includes_is_copied_into_the_build_stage(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    copied = set(" ".join(re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)).split())
    tops = {name for name in included if name not in copied}
    assert {name.split("/")[0] for name in tops} <= copied


def test_passwords_beside_the_compose_file_reach_neither_wheel_nor_image(root: Path) -> None:
    """The instructions of compose.yaml make these files; `COPY deploy` and the wheel leave them out."""
    passwords = {"deploy/secrets", "deploy/mosquitto/passwords"}
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert passwords <= set(ignored[ignored.index("!deploy") :])
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert [each for each in passwords for top in included if f"{each}/".startswith(f"{top}/")] == []


def pins(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", path.read_text("utf-8"), re.MULTILINE))


def test_the_image_installs_the_tested_versions_of_the_extras(
    root: Path,
) -> None:
    installed, build = re.findall(r"--require-hashes -r /src/(\S+)", DOCKERFILE)
    assert f"COPY {installed} {build} " in DOCKERFILE
    image = pins(root / installed)
    assert {"apprise", "cryptography"} <= image.keys()
    assert set(pins(root / "requirements/run.txt")) <= image.keys()
    dev = pins(root / "requirements/dev.txt").items()
    assert image.items() <= dev
    assert pins(root / build).items() <= dev


def test_neither_pip_nor_a_build_tool_remains_in_the_image() -> None:
    last_stage = DOCKERFILE.rpartition("FROM ")[2]
    assert "--without-pip /opt/maskwatch" in DOCKERFILE
    assert "pip uninstall --yes --root-user-action ignore setuptools wheel pip" in last_stage
    assert "pip install" not in last_stage


def test_no_secret_stands_in_the_files() -> None:
    assert "environment" not in SERVICES["maskwatch"]
    assert COMPOSE["secrets"]["mqtt_password"] == {"file": "secrets/mqtt_password"}


def test_the_mounted_configuration_is_valid_and_fits_the_other_services(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secret = tmp_path / "mqtt_password"
    secret.write_text("throw-away")
    text = (DEPLOY / "maskwatch/config.yaml").read_text("utf-8")
    path = tmp_path / "config.yaml"
    path.write_text(text.replace("/run/secrets/mqtt_password", str(secret)))
    monkeypatch.setenv("FRONT_DOOR_URL", "rtsp://camera.example/stream")
    config = load(path)
    assert config.mqtt.host in SERVICES
    assert config.mqtt.username == config.node
    scrape = yaml.safe_load((DEPLOY / "prometheus/prometheus.yml").read_text("utf-8"))["scrape_configs"]
    assert scrape[0]["static_configs"][0]["targets"] == [f"maskwatch:{config.metrics.port}"]
    mounts = [volume.split(":")[1] for volume in SERVICES["maskwatch"]["volumes"]]
    assert config.data_dir in mounts
    assert any(each.startswith(config.runtime_dir) for each in SERVICES["maskwatch"]["tmpfs"])
