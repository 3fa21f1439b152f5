"""The cases of ../shared/field, each by its own repro.sh, with what it must print."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.fakes.field import run_case
from tests.fakes.printed_commands import machine_of_its_own

pytestmark = [
    pytest.mark.long,
    pytest.mark.sweep,
    pytest.mark.shared,
    pytest.mark.faults,
    pytest.mark.timeout(900),
]

# What must be printed (a regular expression), and what must not.
_ANALYSED = r"(?s)(\b(9|10|11) analysed in 2 s.*){4}"
_EXPECTED: dict[str, tuple[str, str]] = {
    "address-of-ipv6": (r"(?s)MQTT 5 at \[::1\]:1883.*http://\[::1\]:9464", "//::1"),
    "client-key-with-a-passphrase": (
        r"client\.key is encrypted \(set `client_key_password`\)",
        "can be used\\.",
    ),
    "colon-in-a-file-name": (r"(?s)(3\.40 s  opened.*){3}12:30:05\.mp4\n  codec", "no video"),
    "cover-before-the-video": (r"(?s)2 video tracks: track 1.*1 violations", "0 violations"),
    "digest-sha256": (r"(?s)(no such stream.*){2}", "wrong or missing"),
    "discovery-switched-off": (
        r"(?s)south true.*homeassistant/.*after: n1 south false(?!.*homeassistant/)",
        "Traceback",
    ),
    "file-as-camera-with-late-clock": (r"(?s)later  live since.*opened  no mask", "no picture"),
    "intra-refresh-join": (r"(?s)live: .*(\b(9|10|11) analysed in 2 s.*){2}", "Traceback"),
    "long-gop-message": (r"no key picture within 6 s; set the camera's key-frame", "damaged"),
    "names-in-latin-1": (r'(?s)"address":"K\\\\xfcche\.mp4".*broken', "Traceback|fault of maskwatch"),
    "no-inodes-left": (
        r'(?s)store_free_inodes \d.*store_errors_total\{reason="full"\} [1-9]',
        "Traceback",
    ),
    "one-picture-in-three-seconds": (r"(?s)live: .*(1 analysed in 2 s.*){5}", "stall|silent|still"),
    "one-pixel-annotated": (r"exit code 0", "Traceback"),
    "picture-bomb": (r"(?s)(more than 100 million pixels.*){2}", r"[1-9]\d{6,} kB"),
    "pictures-in-bursts": (_ANALYSED, "Traceback"),
    "pixels-that-are-not-square": (r"(?s)(1\.80 s  opened.*){2}", r"3\.80 s  opened"),
    "redirect-in-the-worker": (r"redirected  live since", "check the permissions"),
    "same-node-on-one-broker": (
        r"(?s)camera/cam1/.*camera/cam2/.*uses the node 'maskwatch'",
        "Traceback",
    ),
    "secrets-with-invisible-ends": (
        r"cameras\[1\]\.password: begins or ends with a blank",
        "cannot be used",
    ),
    "slow-stream-clock": (_ANALYSED, "late [1-9]|damaged [1-9]"),
}


def test_every_field_case_is_known(shared_data: Path) -> None:
    found = {path.name for path in (shared_data.parent / "field").iterdir() if path.is_dir()}
    assert found == _EXPECTED.keys()


@pytest.mark.parametrize("name", _EXPECTED)
def test_a_field_case_prints_what_it_must(name: str, shared_data: Path) -> None:
    # The path of a socket has at most 107 bytes; that of `tmp_path` alone takes most of them.
    with TemporaryDirectory() as folder:
        hosts = Path(folder) / "hosts"
        hosts.write_text("127.0.0.1 localhost\n")
        with machine_of_its_own(hosts) as prefix:
            printed = run_case(shared_data.parent / "field" / name, Path(folder), prefix)
    wanted, unwanted = _EXPECTED[name]
    assert re.search(wanted, printed), printed
    assert not re.search(unwanted, printed), printed
