"""A worker hands the listener of its filter over to the supervisor, which then makes its connections."""

from __future__ import annotations

import ctypes
import logging
import os
import secrets
import socket
import struct
from dataclasses import replace

from maskwatch.sandbox import bpf, seccomp
from maskwatch.sandbox.seccomp import Network

_log = logging.getLogger(__name__)

PROBE = struct.Struct("=cQ16s")
"""`p`, an address of this process, and the bytes that lie there."""
LISTENER = struct.Struct("=cQHH12x")
"""`l`, the number of the listener's descriptor, the ports of the relay and of a redirect."""
YES, NO = b"y", b"n"
_TIMEOUT_S = 20.0


def probe(sock: socket.socket) -> bool:
    """Return whether the supervisor can read this process, and so broker its connections."""
    if not bpf.supported():
        return False
    cookie = ctypes.create_string_buffer(secrets.token_bytes(16), 16)
    try:
        return _ask(sock, PROBE.pack(b"p", ctypes.addressof(cookie), cookie.raw))
    except OSError as error:
        _log.info("the supervisor does not broker connections: %s", error)
        return False


def restrict(sock: socket.socket, network: Network) -> list[str]:
    """Install the filter and hand its listener over; return the layers in force.

    Without the listener a worker could answer its own calls: it is closed here.

    Raises:
        OSError: the filter is in force, but the supervisor did not take the listener.
    """
    try:
        listener = seccomp.restrict_brokered(replace(network, brokered=True))
    except OSError as error:
        _log.info("the kernel lets no supervisor broker connections: %s", error.strerror)
        return seccomp.restrict(network)
    if network.names:  # the C library otherwise asks for both kinds of addresses by `sendmmsg`
        os.environ["RES_OPTIONS"] = "single-request"
    taken = _ask(sock, LISTENER.pack(b"l", listener, network.relay_port, network.redirected_port))
    os.close(listener)
    if not taken:
        raise OSError("the supervisor did not take the filter's listener")
    return ["seccomp", "brokered network"]


def _ask(sock: socket.socket, question: bytes) -> bool:
    sock.settimeout(_TIMEOUT_S)
    sock.send(question)
    return sock.recv(1) == YES
