"""A camera's address: validation, host and port, and the address with credentials."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import unquote, urlsplit

from maskwatch.config.diagnostics import suggestion
from maskwatch.config.schema import CameraConfig
from maskwatch.secrets import SecretUrl

_SCHEMES = ("rtsp", "rtsps")
RTSP_PORTS = {"rtsp": 554, "rtsps": 322}
"""The TCP port of each scheme unless the address names one."""


def stream_url(camera: CameraConfig, *, main: bool = False) -> SecretUrl:
    """Return the address that is opened for a camera, with its credentials in it.

    This is the sub-stream if one is configured, unless `main` is set. Only this function puts
    `username` and `password` into an address. A file's path is returned as it is.
    """
    url = camera.url if main or camera.substream is None else camera.substream
    if camera.username and is_network_address(url.reveal()):
        return url.with_credentials(camera.username, camera.password)
    return url


def is_network_address(url: str) -> bool:
    """Return whether `url` names a server rather than a file."""
    return "://" in url


def bracketed(host: str) -> str:
    """Return a host as it is written before a port: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def is_ip_address(host: str) -> bool:
    """Return whether `host` is an address rather than a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def host_and_port(url: SecretUrl) -> tuple[str, int] | None:
    """Return host and TCP port of a camera's address; None for a file's path.

    The interface of a link-local host, written %25eth0 in an address, is %eth0 in the host.
    """
    parts = urlsplit(url.reveal())
    if parts.scheme not in RTSP_PORTS or not parts.hostname:
        return None
    return unquote(parts.hostname), parts.port or RTSP_PORTS[parts.scheme]


def redirect_host(text: str) -> tuple[str, int | None]:
    """Return host and port of an entry of `redirect_hosts`; None stands for any port.

    Raises:
        ValueError: it is neither HOST nor HOST:PORT.
    """
    place = urlsplit(f"//{text}")
    if not place.hostname or place.port == 0 or place.netloc != text or "@" in text or " " in text:
        raise ValueError(text)
    return place.hostname, place.port


def camera_addresses(camera: CameraConfig) -> list[tuple[str, int]]:
    """Return hosts and TCP ports of a camera's streams, and of the hosts to which it may redirect."""
    streams = [host_and_port(url) for url in (camera.url, camera.substream) if url is not None]
    found = [address for address in streams if address is not None]
    for host, port in map(redirect_host, camera.redirect_hosts):
        found += [(host, each) for each in ([port] if port else RTSP_PORTS.values())]
    return found


def address_fault(url: str) -> tuple[str | None, str]:
    """Return what is wrong with a camera's address (None: nothing) and a hint.

    The message never repeats the address: it may hold a password that is not where it should be.
    """
    if not url:
        return "expected an rtsp:// or rtsps:// address, or a file's path, got an empty text", ""
    if any(ord(c) < 0x20 or c == "\x7f" for c in url):
        return "holds a control character", ""
    if not is_network_address(url):
        host = not url.startswith("/")
        return ("an address begins with rtsp:// or rtsps://" if host else None), ""
    return _network_fault(url)


def _network_fault(url: str) -> tuple[str | None, str]:
    scheme = url.partition("://")[0].lower()
    if scheme not in _SCHEMES:
        message = f"expected rtsp:// or rtsps://, got {scheme}://"
        return message, suggestion(scheme, _SCHEMES) or "a file is named by its path alone"
    if " " in url:
        return "holds a space", "a space is written %20"
    if "@" in url and "@" not in re.split("[/?#]", url.partition("://")[2])[0]:
        return "the credentials hold a character that ends the host's part", _ENCODE
    return host_part_fault(url)


def host_part_fault(url: str) -> tuple[str | None, str]:
    """Return what is wrong with host and port of a URL, as `address_fault`."""
    try:
        parts = urlsplit(url)
        fault = None if parts.hostname and parts.port != 0 else "names no host"
    except ValueError:
        fault = "host or port is not valid"
    place = url.partition("://")[2].partition("/")[0].rpartition("@")[2]
    bare = fault and place.count(":") > 1
    return fault, "an IPv6 address stands in brackets: [2001:db8::1]" if bare else ""


def host_fault(host: str) -> tuple[str | None, str]:
    """Return what is wrong with a host's name or address that stands alone, as `address_fault`."""
    if "/" in host:
        return "is a name or an address, not a URL", "see `port` and `tls`"
    if not set(host) & set("[]:") or is_ip_address(host):
        return None, ""
    bare = host.strip("[]").replace("%25", "%")
    if is_ip_address(bare):
        return "an IPv6 address stands here without brackets", f"write {bare}"
    return "is neither a name nor an address", "the port has a key of its own: `port`"


_ENCODE = "in a password write / as %2F, ? as %3F, # as %23, @ as %40, or use `username` and `password`"
