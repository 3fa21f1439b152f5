"""Builds the camera of live555 from the library's source, once for each machine."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

_HERE = Path(__file__).parent
_CAMERA = _HERE / "live555_camera.cpp"
_REQUIREMENT = _HERE / "live555.txt"
# All that a server of files needs. Without the proxy and the client the build takes half the time.
_SOURCES = """
BasicUsageEnvironment: BasicHashTable BasicTaskScheduler BasicTaskScheduler0 BasicUsageEnvironment
    BasicUsageEnvironment0 DelayQueue
UsageEnvironment: HashTable UsageEnvironment strDup
groupsock: GroupEId Groupsock GroupsockHelper IOHandlers NetAddress NetInterface inet
liveMedia: Base64 BasicUDPSink BitVector ByteStreamFileSource DigestAuthentication
    FileServerMediaSubsession FramedFileSource FramedFilter FramedSource GenericMediaServer
    H264VideoFileServerMediaSubsession H264VideoRTPSink H264VideoRTPSource H264VideoStreamFramer
    H264or5VideoRTPSink H264or5VideoStreamFramer H265VideoFileServerMediaSubsession H265VideoRTPSink
    H265VideoStreamFramer HMAC_SHA1 InputFile Locale MIKEY MPEGVideoStreamFramer MPEGVideoStreamParser
    Media MediaSink MediaSource MultiFramedRTPSink MultiFramedRTPSource OnDemandServerMediaSubsession
    RTCP RTPInterface RTPSink RTPSource RTSPCommon RTSPServer SRTPCryptographicContext
    ServerMediaSession StreamParser TLSState VideoRTPSink ourMD5 rtcp_from_spec
"""
_FLAGS = ["-w", "-O0", "-DNO_STD_LIB=1", "-DSOCKLEN_T=socklen_t"]


def built_camera() -> Path:
    """Return the program; build it if this machine has none of this source."""
    version = hashlib.sha256(_CAMERA.read_bytes() + _REQUIREMENT.read_bytes()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    program = cache / "maskwatch-tests" / f"live555-{version}"
    if not program.exists():
        _build(program)
    return program


def _build(program: Path) -> None:
    work = program.with_suffix(f".{os.getpid()}")
    work.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:"]
    _run([*pip, "--require-hashes", "-r", str(_REQUIREMENT), "--dest", str(work)])
    [archive] = work.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(work, filter="data")
    [source] = [path for path in work.iterdir() if path.is_dir()]
    folders = _folders()
    includes = [f"-I{source / name / 'include'}" for name in folders]
    files = [_source(source / folder, name) for folder, names in folders.items() for name in names]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(lambda file: _compile(file, includes, work), [*files, _CAMERA]))
    # Unresolved are a proxy's and a client's functions, which a server of files never calls.
    link = ["-no-pie", "-Wl,--unresolved-symbols=ignore-all", "-lssl", "-lcrypto"]
    built = work / "camera"
    _run(["g++", *map(str, objects), *link, "-o", str(built)])
    built.replace(program)


def _folders() -> dict[str, list[str]]:
    """Return the names of the source files in each folder."""
    folders: dict[str, list[str]] = {}
    for word in _SOURCES.split():
        if word.endswith(":"):
            names = folders.setdefault(word[:-1], [])
        else:
            names.append(word)
    return folders


def _source(folder: Path, name: str) -> Path:
    return next(path for path in (folder / f"{name}.cpp", folder / f"{name}.c") if path.exists())


def _compile(source: Path, includes: list[str], target: Path) -> Path:
    compiled = target / f"{source.name}.o"
    compiler = "gcc" if source.suffix == ".c" else "g++"
    _run([compiler, *_FLAGS, *includes, "-c", str(source), "-o", str(compiled)])
    return compiled


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[:6]}: {done.stderr}"
