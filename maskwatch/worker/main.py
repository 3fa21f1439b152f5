"""Runs a worker: the set-up of every child, the sandbox, then its camera's frames until `Stop`."""

from __future__ import annotations

import argparse
import logging
import math
import os
import socket
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial

from maskwatch.capture.reachability import listen
from maskwatch.capture.reconnect import ReconnectDelays
from maskwatch.clock import SystemClock
from maskwatch.config.addresses import (
    camera_addresses,
    host_and_port,
    is_ip_address,
    is_network_address,
)
from maskwatch.config.schema import CameraConfig, Config, Transport
from maskwatch.errors import SourceError, SourceRedirectedError
from maskwatch.ipc import child
from maskwatch.ipc.messages import Configure, Recorded, WorkerHello
from maskwatch.sandbox import enter as sandbox
from maskwatch.sandbox.seccomp import Network
from maskwatch.secrets import SecretUrl
from maskwatch.telemetry import native_stderr
from maskwatch.worker.camera_loop import CameraLoop
from maskwatch.worker.connection import WorkerConnection
from maskwatch.worker.memory_limit import limit_memory, memory_error

_log = logging.getLogger(__name__)
_DRAIN_S = 1.0


def main(
    arguments: Sequence[str] | None = None,
    *,
    delays: ReconnectDelays | None = None,
    on_recorded: Callable[[Recorded], object] = lambda _: None,
) -> int:
    """Run the worker of one camera; return the exit code (see `maskwatch.errors`)."""
    parser = argparse.ArgumentParser(prog="maskwatch-worker")
    parser.add_argument("--fd", type=int, required=True, help="the inherited socket to the supervisor")
    parser.add_argument("--broker", type=int, help="the inherited socket to the network's broker")
    options = parser.parse_args(arguments)
    body = partial(_run, broker=options.broker, delays=delays, on_recorded=on_recorded)
    return child.run(options.fd, "worker", body)


def _run(
    supervisor: child.SupervisorChannel,
    configure: Configure,
    broker: int | None,
    delays: ReconnectDelays | None,
    on_recorded: Callable[[Recorded], object],
) -> None:
    config, clock = configure.config, SystemClock()
    camera = next(each for each in config.cameras if each.name == configure.camera)
    megabytes = config.supervision.worker_megabytes
    limit_memory(megabytes)
    listener = _relay_listener(camera)
    redirected = _redirected_port(camera, resolve=configure.resolve_redirects)
    network = _network(camera, listener, redirected)
    with nullcontext() if broker is None else socket.socket(fileno=broker) as sock:
        layers = sandbox.enter(_files(config, camera), _ports(camera), network=network, broker=sock)
    supervisor.log_stream = native_stderr.capture_stderr().stream
    supervisor.set_up_log(configure)
    _log.info("sandboxed: %s", ", ".join(layers))
    hello = WorkerHello(camera=camera.name, token=configure.token.reveal())
    connection = WorkerConnection(
        supervisor, configure.recorder, hello, clock=clock, on_recorded=on_recorded
    )
    connection.start(layers)
    loop = CameraLoop(
        config,
        camera,
        connection,
        clock,
        attempt=configure.attempt,
        delays=delays,
        listener=listener,
        processor_share=configure.processor_share or math.inf,
    )
    try:
        loop.run()
    except (MemoryError, SourceRedirectedError) as error:
        connection.recorder.drain(_DRAIN_S)
        if isinstance(error, MemoryError):
            raise memory_error(camera.name, megabytes) from None
        raise


def _files(config: Config, camera: CameraConfig) -> list[str]:
    """Return what the worker reads beside its program; a model's files lie beside its manifest."""
    models = [os.path.dirname(config.model), config.face_weights]  # noqa: PTH120 - "" must stay ""
    streams = [url.reveal() for url in (camera.url, camera.substream) if url is not None]
    models.append(camera.ca_file)
    return [*models, *(path for path in streams if "://" not in path)]


def _ports(camera: CameraConfig) -> list[int]:
    return [port for _, port in camera_addresses(camera)]


def _network(camera: CameraConfig, listener: socket.socket | None, redirected: int) -> Network:
    hosts = [host for host, _ in camera_addresses(camera)]
    return Network(
        tcp=bool(hosts),
        udp=bool(hosts) and camera.transport is not Transport.TCP,
        names=not all(is_ip_address(host) for host in hosts),
        local=True,
        listener=None if listener is None else listener.fileno(),
        relay_port=0 if listener is None else listener.getsockname()[1],
        redirected_port=redirected,
    )


def _relay_listener(camera: CameraConfig) -> socket.socket | None:
    """Return where FFmpeg will reach the relay to the camera; a file needs none."""
    return listen() if is_network_address((camera.substream or camera.url).reveal()) else None


def _redirected_port(camera: CameraConfig, *, resolve: bool) -> int:
    """Return the port to which the camera redirects, if the sandbox refused it to the last worker.

    0 stands for none.

    What the camera answers is read before the sandbox, but by Python alone.
    """
    if not resolve:
        return 0
    from maskwatch.capture.camera import stream_options  # noqa: PLC0415 - needed by few cameras
    from maskwatch.capture.rtsp_client import open_session  # noqa: PLC0415 - as above

    try:
        session = open_session(stream_options(camera).access, camera.open_timeout)
    except SourceError as error:
        _log.info("%s", error)
        return 0
    session.close()
    found = host_and_port(SecretUrl(session.address))
    return 0 if found is None else found[1]
