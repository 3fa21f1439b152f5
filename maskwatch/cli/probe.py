"""`maskwatch probe rtsp://…`: shows what a camera sends, or what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from maskwatch.cli.options import CommandWithRenamedOptions, config_option, find_config
from maskwatch.files import json_text

if TYPE_CHECKING:
    from maskwatch.capture.container import StreamOptions
    from maskwatch.capture.probe import ProbeReport
    from maskwatch.config.schema import CameraConfig
    from maskwatch.errors import SourceError

_SMALLEST_FACE = 32  # px: the daemon's default


@click.command(cls=CommandWithRenamedOptions, renamed={"--faces": ""})
@click.argument("address", required=False)
@config_option(about="Configuration file with the camera.")
@click.option("--camera", help="Name of the camera in the configuration, instead of an address.")
@click.option("--transport", type=click.Choice(["tcp", "udp"]), help="How RTP travels; TCP by default.")
@click.option(
    "--seconds",
    type=click.FloatRange(0.5, 600),
    default=3.0,
    show_default=True,
    help="How long to watch.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.5, 120),
    default=10.0,
    show_default=True,
    help="Seconds to wait for a first picture.",
)
@click.option("--insecure", is_flag=True, help="Do not check the certificate of an rtsps camera.")
@click.option(
    "--allow-basic",
    is_flag=True,
    help="Log in by Basic without TLS too: everybody on the network can read the password.",
)
@click.option("--no-faces", is_flag=True, help="Do not look for faces.")
@click.option(
    "--hardware",
    is_flag=True,
    help="Try this machine's decoders and TFLite delegates instead; takes half a minute.",
)
@click.option(
    "--delegate",
    "delegates",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, resolve_path=True),
    multiple=True,
    help="Library of a further TFLite delegate to try; needs --hardware.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def probe(  # noqa: PLR0913, PLR0917 - click gives each option its argument
    address: str | None,
    config: Path | None,
    camera: str | None,
    transport: str | None,
    seconds: float,
    timeout: float,
    insecure: bool,
    allow_basic: bool,
    no_faces: bool,
    hardware: bool,
    delegates: tuple[Path, ...],
    as_json: bool,
) -> None:
    r"""Look at the camera (or the video file) at ADDRESS.

    Shows codec, size, rate, time to the first picture, damage and faces. If it fails, it shows the
    reason, with exit code 8. Every user of this machine can see an address on the command line: for a
    camera with a password use --config and --camera.

    \b
    Examples:
      maskwatch probe rtsp://camera.example/stream
      maskwatch probe --config config.yaml --camera entrance
      maskwatch probe rtsp://camera.example/stream --transport udp --json | jq .rate
      maskwatch probe --hardware
    """
    from dataclasses import replace

    from maskwatch.config.schema import CameraAuth
    from maskwatch.errors import SourceError, UsageError

    if delegates and not hardware:
        raise UsageError("--delegate needs --hardware")
    if hardware:
        from maskwatch.cli.probe_hardware import probe_hardware

        if address or camera:
            raise UsageError("--hardware probes this machine: give no address and no --camera")
        probe_hardware(delegates, as_json=as_json)
        return
    options = _options(address, config, camera, transport, timeout, insecure=insecure)
    if allow_basic:
        options = replace(options, auth=CameraAuth.ANY)
    try:
        report = _probe(options, seconds, faces=not no_faces)
    except SourceError as error:
        if as_json:
            _print_failure(options, error)
        raise
    _print_json(report) if as_json else _print_text(report)


def _probe(options: StreamOptions, seconds: float, *, faces: bool) -> ProbeReport:
    from maskwatch.capture.probe import probe_stream

    if not faces:
        return probe_stream(options, seconds=seconds)
    from functools import partial

    from maskwatch.vision.faces import FaceDetector, analysis_size

    fit = partial(analysis_size, smallest_face=_SMALLEST_FACE)
    return probe_stream(options, seconds=seconds, find_faces=FaceDetector().detect, fit=fit)


def _options(
    address: str | None,
    config: Path | None,
    camera: str | None,
    transport: str | None,
    timeout: float,
    *,
    insecure: bool,
) -> StreamOptions:
    from dataclasses import replace

    from maskwatch.capture.camera import stream_options
    from maskwatch.capture.container import StreamOptions
    from maskwatch.config.addresses import address_fault, is_network_address
    from maskwatch.config.schema import Transport
    from maskwatch.errors import UsageError
    from maskwatch.secrets import SecretUrl

    if (address is None) == (camera is None):
        raise UsageError("give an address, or --camera with --config")
    if address is not None:
        fault, hint = address_fault(address) if is_network_address(address) else (None, "")
        if fault:
            raise UsageError(f"{SecretUrl(address)}: {fault}{f' ({hint})' if hint else ''}")
        options = StreamOptions(SecretUrl(address), tls_verify=not insecure)
    else:
        options = stream_options(_camera(find_config(config), str(camera)))
    chosen = options.transport if transport is None else Transport(transport)
    return replace(options, transport=chosen, open_timeout=timeout)


def _camera(config: Path, name: str) -> CameraConfig:
    from maskwatch.config.load import load
    from maskwatch.errors import UsageError

    cameras = {camera.name: camera for camera in load(config).cameras}
    if name not in cameras:
        raise UsageError(f"{config} has no camera {name!r}, but: {', '.join(cameras)}")
    return cameras[name]


def _print_text(report: ProbeReport) -> None:
    width, height = report.size
    lines = {
        "codec": report.codec,
        "size": f"{width} x {height}",
        "rate": f"{report.rate:.1f} pictures a second, {report.declared_rate:.1f} declared",
        "transport": report.transport,
        "first picture": f"after {report.first_frame:.2f} s",
        "damaged": f"{report.damaged} of {report.decoded} pictures",
    }
    if report.faces is not None:
        lines["faces"] = f"{report.faces} at most in one picture"
        if report.face_heights:
            lines["face height"] = f"{min(report.face_heights)} to {max(report.face_heights)} px"
    if report.blind:
        lines["warning"] = f"the picture is {report.blind.replace('_', ' ')}"
    click.echo(report.address)
    for name, value in [*lines.items(), *(("note", note) for note in report.notes)]:
        click.echo(f"  {name:<14} {value}")


def _print_json(report: ProbeReport) -> None:

    click.echo(json_text(report))


def _print_failure(options: StreamOptions, error: SourceError) -> None:

    from maskwatch.capture.diagnose import reason_of

    failure = {"address": options.where, "error": reason_of(error), "message": str(error)}
    click.echo(json_text(failure))
