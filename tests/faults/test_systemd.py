"""The unit file, checked by systemd and run by a real user manager."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from maskwatch.lab.broker import free_port
from maskwatch.lab.rtsp import RtspServer
from tests.fakes.clips import make_clip

pytestmark = [pytest.mark.faults, pytest.mark.timeout(240)]

PROGRAM = "/opt/maskwatch/bin/maskwatch"
CONFIG = "/etc/maskwatch/config.yaml"
# A user manager in this namespace cannot change users, nor mount over what a container hides.
NEEDS_SYSTEM_MANAGER = re.compile(
    r"^(User|Group|Private\w+|Protect\w+|StateDirectory\w*|RuntimeDirectory\w*|"
    r"ConfigurationDirectory\w*|DevicePolicy|KeyringMode|RemoveIPC)=.*\n",
    re.MULTILINE,
)
STEPS = """
properties=ActiveState,Result,NRestarts,MainPID,StatusText
show() { echo "$1 $(systemctl --user show maskwatch -p $properties | tr '\\n' ' ')"; }
timeout 60 systemctl --user start maskwatch; echo "start $?"; show started
for _ in $(seq 240); do
    systemctl --user show maskwatch -p StatusText | grep -q '1 of 1 cameras live' && break; sleep 0.25
done
show running
cp FOLDER/more.yaml FOLDER/config.yaml
timeout 60 systemctl --user reload maskwatch; echo "reload $?"; show reloaded
echo 'nonsense: [' > FOLDER/config.yaml
timeout 60 systemctl --user reload maskwatch; echo "bad-reload $?"; show refused
cp FOLDER/more.yaml FOLDER/config.yaml
pid=$(systemctl --user show maskwatch -p MainPID --value)
[ "$pid" -gt 1 ] && kill -STOP "$pid"
for _ in $(seq 120); do
    [ "$(systemctl --user show maskwatch -p NRestarts --value)" = 1 ] && break; sleep 0.25
done
for _ in $(seq 120); do
    [ "$(systemctl --user show maskwatch -p ActiveState --value)" = active ] && break; sleep 0.25
done
show watched
timeout 60 systemctl --user stop maskwatch; show stopped
"""


@pytest.fixture
def unit(root: Path) -> str:
    return (root / "systemd" / "maskwatch.service").read_text()


@pytest.fixture
def installed(unit: str, tmp_path: Path) -> Path:
    """Write the unit with a program that exists on this machine."""
    path = tmp_path / "maskwatch.service"
    path.write_text(unit.replace(PROGRAM, str(Path(sys.executable).with_name("maskwatch"))))
    return path


@pytest.fixture
def door(tmp_path: Path) -> Iterator[RtspServer]:
    """Serve a camera whose password only systemd passes to the daemon."""
    with RtspServer(users={"ann": "CANARY-4711"}) as server:
        server.add("c0", make_clip(tmp_path / "clip.mp4", frames=50, rate=10, gop=10))
        yield server


def run(*command: str | Path, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=timeout, check=False
    )


def test_systemd_finds_nothing_wrong_with_the_unit(installed: Path) -> None:
    done = run("systemd-analyze", "verify", installed)
    assert (done.returncode, done.stderr.strip()) == (0, "")


def test_the_exposure_is_1_6_or_less(installed: Path) -> None:
    """Of it 0.2 are the namespaces that isolate a worker."""
    done = run("systemd-analyze", "security", "--offline=yes", "--threshold=16", installed)
    assert done.returncode == 0, done.stdout[-500:]
    unit = json.loads(
        run("systemd-analyze", "security", "--offline=yes", "--json=short", installed).stdout
    )
    assert unit


def test_every_setting_of_the_service_has_a_comment_above_it_or_above_its_group(unit: str) -> None:
    service = unit.split("[Service]")[1].split("[Install]", maxsplit=1)[0]
    explained = False
    for line in service.splitlines():
        if line.startswith("#"):
            explained = not line.startswith("# ---")
        elif not line.strip():
            explained = False
        elif not explained:
            assert line.split("=")[0] in ("ExecStart", "User", "Group"), f"not explained: {line}"


def test_systemd_accepts_the_sysusers_and_tmpfiles_configuration(root: Path) -> None:
    for command, name in (
        (["systemd-sysusers", "--dry-run"], "maskwatch.sysusers"),
        (["systemd-tmpfiles", "--create", "--dry-run"], "maskwatch.tmpfiles"),
    ):
        text = (root / "systemd" / name).read_text()
        assert [line for line in text.splitlines() if line and not line.startswith("#")]
        if name.endswith("sysusers"):
            done = run(*command, root / "systemd" / name)
            assert done.returncode == 0, done.stderr


@pytest.mark.long
def test_a_real_systemd_manager_runs_the_daemon_with_its_credentials(
    unit: str, tmp_path: Path, root: Path, door: RtspServer
) -> None:
    camera = f"  - {{name: c1, url: 'rtsp://127.0.0.1:{free_port()}/x'}}\n"
    text = (
        f"data_dir: {tmp_path}/data\nruntime_dir: {tmp_path}/run\nmqtt: {{enabled: false}}\n"
        f"metrics: {{port: 0}}\nstore: {{reserve_megabytes: 1}}\ncameras:\n"
        f"  - {{name: c0, url: 'rtsp://127.0.0.1:{door.port}/c0', username: ann, "
        "password: credential:mqtt-password}\n"
    )
    (tmp_path / "config.yaml").write_text(text)
    (tmp_path / "more.yaml").write_text(text + camera)
    (tmp_path / "unit").mkdir()
    service = NEEDS_SYSTEM_MANAGER.sub("", unit)
    service = service.replace(PROGRAM, str(Path(sys.executable).with_name("maskwatch")))
    service = service.replace(CONFIG, str(tmp_path / "config.yaml"))
    service = service.replace("WatchdogSec=30", "WatchdogSec=4")
    service = service.replace("TimeoutAbortSec=10", "TimeoutAbortSec=1")
    (tmp_path / "credential").write_text("CANARY-4711\n")
    setting = "LoadCredential=mqtt-password\n"  # the other files are absent, which is allowed
    assert setting in service
    service = service.replace(setting, f"{setting[:-1]}:{tmp_path}/credential\n")
    log = f"[Service]\nStandardError=append:{tmp_path}/daemon.log\n"
    (tmp_path / "unit" / "maskwatch.service").write_text(service.replace("[Service]\n", log))
    (tmp_path / "steps").write_text(STEPS.replace("FOLDER", str(tmp_path)))
    with (tmp_path / "out").open("w") as out:
        subprocess.run(
            [
                "unshare",
                "-m",
                "--propagation",
                "private",
                "bash",
                "tests/faults/user_manager.sh",
                tmp_path,
            ],
            cwd=root,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            timeout=230,
            check=False,
            start_new_session=True,
        )
    output = (tmp_path / "out").read_text()
    lines = dict(line.split(" ", 1) for line in output.splitlines() if " " in line)
    everything = output + (tmp_path / "daemon.log").read_text()
    assert lines["start"] == "0", everything
    assert "ActiveState=active" in lines["started"], everything
    assert "1 of 1 cameras live" in lines["running"], everything
    assert lines["reload"] == "0", everything
    assert "ActiveState=active" in lines["reloaded"], everything
    assert lines["bad-reload"] != "0", everything
    assert "ActiveState=active" in lines["refused"], everything
    assert "NRestarts=1" in lines["watched"], everything
    assert "ActiveState=active" in lines["watched"], everything
    assert "ActiveState=inactive" in lines["stopped"], everything
    assert "Result=success" in lines["stopped"], everything
    assert "configuration reloaded: started: c1" in everything
    assert "CANARY" not in everything
    assert list((tmp_path / "run").iterdir()) == []
