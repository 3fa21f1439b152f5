"""Describe a clip to a client (SDP, RFC 4566, with the formats of RFC 6184 and RFC 7798)."""

from __future__ import annotations

from base64 import b64encode

from maskwatch.lab.rtsp.clip import CLOCK_RATE, Clip, Codec
from maskwatch.lab.rtsp.rtp import PAYLOAD_TYPE

__all__ = ["TRACK", "describe", "describe_without_video"]

TRACK = "track1"
_HEAD = ("v=0", "o=- 1 1 IN IP4 0.0.0.0", "s=camera", "c=IN IP4 0.0.0.0", "t=0 0", "a=control:*")


def describe(clip: Clip) -> str:
    """The session description of a clip with its one video track."""
    media = (
        f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
        f"a=rtpmap:{PAYLOAD_TYPE} {clip.codec.value}/{CLOCK_RATE}",
        f"a=fmtp:{PAYLOAD_TYPE} {_format(clip)}",
        f"a=framerate:{clip.rate:.3f}",
        f"a=control:{TRACK}",
    )
    return _lines(*_HEAD, *media)


def describe_without_video() -> str:
    """A session with sound only, as an intercom or a broken profile has it."""
    return _lines(*_HEAD, "m=audio 0 RTP/AVP 0", "a=rtpmap:0 PCMU/8000", f"a=control:{TRACK}")


def _format(clip: Clip) -> str:
    sets = [b64encode(nal).decode() for nal in clip.parameter_sets]
    if clip.codec is Codec.H264:
        profile = clip.parameter_sets[0][1:4].hex()
        joined = ",".join(sets)
        return f"packetization-mode=1;profile-level-id={profile};sprop-parameter-sets={joined}"
    names = ("sprop-vps", "sprop-sps", "sprop-pps")
    return ";".join(f"{name}={value}" for name, value in zip(names, sets, strict=True))


def _lines(*lines: str) -> str:
    return "".join(f"{line}\r\n" for line in lines)
