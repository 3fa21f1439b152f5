"""Runs a worker: set-up as every child, locked in, then its camera's frames until told to stop."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence

from maskwatch.clock import SystemClock
from maskwatch.config.addresses import host_and_port
from maskwatch.config.schema import CameraConfig, Config
from maskwatch.errors import MaskwatchError
from maskwatch.ipc import child
from maskwatch.ipc.messages import Configure
from maskwatch.sandbox import enter as sandbox
from maskwatch.telemetry import native_stderr as native
from maskwatch.worker.camera_loop import CameraLoop
from maskwatch.worker.connection import WorkerConnection
from maskwatch.worker.journal import journal_of

__all__ = ["main"]

_log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Be the worker of one camera; return the exit code (see `maskwatch.errors`)."""
    parser = argparse.ArgumentParser(prog="maskwatch-worker")
    parser.add_argument("--fd", type=int, required=True, help="the inherited line to the supervisor")
    options = parser.parse_args(arguments)
    try:
        uplink, configure = child.start(options.fd, "worker")
        _serve(uplink, configure)
    except MaskwatchError as error:
        _log.critical("%s", error)
        return error.exit_code
    return 0


def _serve(uplink: child.SupervisorChannel, configure: Configure) -> None:
    config, clock = configure.config, SystemClock()
    camera = next(each for each in config.cameras if each.name == configure.camera)
    journal = journal_of(os.environ)  # opened before files are locked away
    layers = sandbox.enter(_files(config, camera), _ports(camera))
    uplink.log_stream = native.capture_stderr().stream
    uplink.set_up_log(configure)
    _log.info("locked in: %s", ", ".join(layers))
    link = WorkerConnection(
        uplink,
        configure.recorder,
        camera.name,
        clock=clock,
        token=configure.token.reveal(),
        recorded=journal,
    )
    link.start()
    CameraLoop(config, camera, link, clock, attempt=configure.attempt).run()


def _files(config: Config, camera: CameraConfig) -> list[str]:
    """Return what the worker reads beside its program; a model's files lie beside its manifest."""
    named = [os.path.dirname(config.model), config.face_weights]  # noqa: PTH120 - "" must stay ""
    streams = [url.reveal() for url in (camera.url, camera.substream) if url is not None]
    return [*named, *(path for path in streams if "://" not in path)]


def _ports(camera: CameraConfig) -> list[int]:
    addresses = [host_and_port(url) for url in (camera.url, camera.substream) if url is not None]
    return [address[1] for address in addresses if address is not None]
