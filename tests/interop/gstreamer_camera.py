"""A foreign camera: GStreamer's RTSP server, run with the system's own Python.

Usage: /usr/bin/python3 gstreamer_camera.py NAME=FILE... [--user USER:PASSWORD] [--basic]
[--repeat-sets] [--tls PEM]

Prints `ready PORT` when it listens on 127.0.0.1, and serves each file as rtsp://…/NAME, looped,
H.264, H.265 or JPEG, over TCP and UDP. With --repeat-sets the payloader repeats the parameter sets
with every key picture, and before each of its slices if it has several (config-interval=-1). With
--tls, PEM holds certificate and key. Needs gir1.2-gst-rtsp-server-1.0 and the base, good and bad
plugins; imports nothing of maskwatch.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
gi.require_version("GstRtsp", "1.0")
gi.require_version("GstRtspServer", "1.0")
# GstApp is imported for the methods that it adds to the elements.
from gi.repository import Gio, GLib, Gst, GstApp, GstRtsp, GstRtspServer  # noqa: E402, F401 - see above

_ROLE = "user"
_ANNEX_B = "stream-format=byte-stream,alignment=au"
_CODECS = {
    "h264": f"video/x-h264 ! h264parse config-interval=-1 ! video/x-h264,{_ANNEX_B}",
    "h265": f"video/x-h265 ! h265parse config-interval=-1 ! video/x-h265,{_ANNEX_B}",
    "jpeg": "image/jpeg ! jpegparse",
}
_TICK_MS = 10
_NANOSECONDS = 1000  # in one of GLib's microseconds


@dataclass
class Recording:
    """A file's access units: (bytes, duration in ns, is key frame), with their caps."""

    codec: str
    caps: str
    units: list[tuple[bytes, int, bool]]


def load(path: str) -> Recording:
    """Read a file whole."""
    for codec, elements in _CODECS.items():
        pipeline = Gst.parse_launch(
            f'filesrc location="{path}" ! qtdemux name=d d.video_0 ! {elements} '
            "! appsink name=s sync=false"
        )
        pipeline.set_state(Gst.State.PLAYING)
        recording = Recording(codec, "", [])
        sink = pipeline.get_by_name("s")
        while (sample := sink.emit("try-pull-sample", 2 * Gst.SECOND)) is not None:
            buffer = sample.get_buffer()
            _, data = buffer.map(Gst.MapFlags.READ)
            key = not buffer.has_flags(Gst.BufferFlags.DELTA_UNIT)
            # Not every parser gives buffers a duration.
            _, rate, seconds = sample.get_caps().get_structure(0).get_fraction("framerate")
            recording.units.append((bytes(data.data), Gst.SECOND * seconds // rate, key))
            buffer.unmap(data)
            recording.caps = sample.get_caps().to_string()
        pipeline.set_state(Gst.State.NULL)
        if recording.units:
            return recording
    raise SystemExit(f"{path}: no H.264, H.265 or JPEG video")


class Player:
    """Pushes a recording into one media pipeline, in time and in a loop."""

    def __init__(self, source: Gst.Element, recording: Recording) -> None:
        self.on = True
        self._source = source
        self._recording = recording
        self._start = GLib.get_monotonic_time()
        self._number = 0
        self._due = 0
        GLib.timeout_add(_TICK_MS, self._tick)

    def _tick(self) -> bool:
        elapsed = (GLib.get_monotonic_time() - self._start) * _NANOSECONDS
        while self.on and self._due <= elapsed:
            self._push()
        return self.on

    def _push(self) -> None:
        units = self._recording.units
        data, duration, key = units[self._number % len(units)]
        buffer = Gst.Buffer.new_wrapped(data)
        buffer.pts = buffer.dts = self._due
        buffer.duration = duration
        if not key:
            buffer.set_flags(Gst.BufferFlags.DELTA_UNIT)
        self.on = self._source.emit("push-buffer", buffer) == Gst.FlowReturn.OK
        self._due += duration
        self._number += 1


class Camera(GstRtspServer.RTSPMediaFactory):
    """One mounted file, shared by its clients."""

    def __init__(self, path: str, *, repeat_sets: bool) -> None:
        super().__init__()
        self._interval = -1 if repeat_sets else 0
        self._recording = load(path)
        self.set_shared(True)

    def do_create_element(self, _url: object) -> Gst.Element:
        """Build the pipeline of a new media."""
        codec = self._recording.codec
        sets = "" if codec == "jpeg" else f"config-interval={self._interval}"
        return Gst.parse_launch(
            "( appsrc name=src is-live=true format=time block=false "
            f"! {codec}parse ! rtp{codec}pay name=pay0 pt=96 {sets} )"
        )

    def do_configure(self, media: GstRtspServer.RTSPMedia) -> None:
        """Push frames while the media exists."""
        source = media.get_element().get_by_name("src")
        source.set_property("caps", Gst.Caps.from_string(self._recording.caps))
        player = Player(source, self._recording)
        media.connect("unprepared", lambda *_: setattr(player, "on", False))


def authentication(user: str, certificate: str, *, basic: bool) -> GstRtspServer.RTSPAuth:
    """Return the authentication of one user, NAME:PASSWORD; over TLS if a certificate is named."""
    name, _, password = user.partition(":")
    auth = GstRtspServer.RTSPAuth()
    if certificate:
        auth.set_tls_certificate(Gio.TlsCertificate.new_from_file(certificate))
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", _ROLE)
    if basic:
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(name, password), token)
    else:
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(name, password, token)
    return auth


def mount(
    server: GstRtspServer.RTSPServer, clip: str, *, authenticated: bool, repeat_sets: bool
) -> None:
    """Serve NAME=FILE."""
    name, _, path = clip.partition("=")
    camera = Camera(path, repeat_sets=repeat_sets)
    if authenticated:
        permissions = GstRtspServer.RTSPPermissions()
        for right in ("media.factory.access", "media.factory.construct"):
            permissions.add_permission_for_role(_ROLE, right, True)
        camera.set_permissions(permissions)
    server.get_mount_points().add_factory(f"/{name}", camera)


def main() -> None:
    """Serve until killed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("clips", nargs="+")
    parser.add_argument("--user")
    parser.add_argument("--basic", action="store_true")
    parser.add_argument("--tls", default="")
    parser.add_argument("--repeat-sets", action="store_true")
    options = parser.parse_args()
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service("0")
    if options.user:
        server.set_auth(authentication(options.user, options.tls, basic=options.basic))
    for clip in options.clips:
        mount(server, clip, authenticated=bool(options.user), repeat_sets=options.repeat_sets)
    server.attach(None)
    print("ready", server.get_bound_port(), flush=True)  # noqa: T201 - what the test waits for
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
