"""Ways out of the sandbox: sockets of every kind, to other machines and to services of this one."""

from __future__ import annotations

import ctypes
import socket
import struct

from tests.fakes.attacks.calls import Attack, Targets, call, calls

_MPTCP, _SCTP, _TCP_FASTOPEN_CONNECT, _TCP_ULP = 262, 132, 30, 31
# Every other family by a type of socket that it has: amateur radio to Qualcomm's router.
_FAMILIES = {
    socket.SOCK_STREAM: (23, 24),
    socket.SOCK_DGRAM: (4, 5, 26, 33, 35, 36, 41, 42, 45, 46),
    socket.SOCK_RAW: (15, 19, 28, 29),
    socket.SOCK_SEQPACKET: (3, 9, 21, 30, 39),
}
_OPTIONS = {  # by level and number
    "SO_DEBUG": (1, 1),
    "SO_BROADCAST": (1, 6),
    "SO_PRIORITY": (1, 12),
    "SO_BINDTODEVICE": (1, 25),
    "SO_ATTACH_FILTER": (1, 26),
    "SO_RCVBUFFORCE": (1, 33),
    "SO_MARK": (1, 36),
    "SO_ATTACH_BPF": (1, 50),
    "SO_ZEROCOPY": (1, 60),
    "TCP_CONGESTION": (6, 13),
    "TCP_MD5SIG": (6, 14),
    "TCP_REPAIR": (6, 19),
    "TCP_FASTOPEN": (6, 23),
    "IP_OPTIONS": (0, 4),
    "IP_FREEBIND": (0, 15),
    "IP_TRANSPARENT": (0, 19),
    "IP_ADD_MEMBERSHIP": (0, 35),
    "IPV6_HOPOPTS": (41, 54, socket.AF_INET6),
    "IPV6_RTHDR": (41, 57, socket.AF_INET6),
}
_IOCTLS = {"SIOCGIFCONF": 0x8912, "SIOCSIFFLAGS": 0x8914, "SIOCADDRT": 0x890B, "SIOCGSTAMP": 0x8906}


def _inet(port: int) -> bytes:
    return struct.pack("=H", socket.AF_INET) + struct.pack(">H", port) + bytes([127, 0, 0, 1]) + bytes(8)


def _tcp_to(port: int) -> None:
    with socket.socket() as sock:
        sock.settimeout(2)
        sock.connect(("127.0.0.1", port))


def _connected_by(kind: int, protocol: int) -> Attack:
    def attack(targets: Targets) -> None:
        with socket.socket(socket.AF_INET, kind, protocol) as sock:
            sock.settimeout(2)
            sock.connect(("127.0.0.1", targets.tcp))

    return attack


def _fast_open(targets: Targets) -> None:
    with socket.socket() as sock:
        sock.sendto(b"x", socket.MSG_FASTOPEN, ("127.0.0.1", targets.tcp))


def _fast_open_message(targets: Targets) -> None:
    with socket.socket() as sock:
        sock.sendmsg([b"x"], [], socket.MSG_FASTOPEN, ("127.0.0.1", targets.tcp))


def _fast_open_option(_: Targets) -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_FASTOPEN_CONNECT, 1)


def _fast_open_by_sendmmsg(targets: Targets) -> None:
    with socket.socket() as sock:
        address = ctypes.create_string_buffer(_inet(targets.tcp))
        header = struct.pack("QIIQQQQiIQ", ctypes.addressof(address), 16, 0, 0, 0, 0, 0, 0, 0, 0)
        call("sendmmsg", sock.fileno(), header, 1, socket.MSG_FASTOPEN)


def _ulp(_: Targets) -> None:
    with socket.socket() as sock:
        sock.setsockopt(socket.IPPROTO_TCP, _TCP_ULP, b"mptcp")


def _udp_sendto(targets: Targets) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendto(b"x", ("127.0.0.1", targets.udp))


def _udp_connect(targets: Targets) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", targets.udp))
        sock.send(b"x")


def _udp_message(targets: Targets) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.sendmsg([b"x"], [], 0, ("127.0.0.1", targets.udp))


def _at(host: str) -> Attack:
    """Return the attack that connects to a name of this machine other than its usual address."""

    def attack(targets: Targets) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as sock:
            sock.settimeout(2)
            sock.connect((host, targets.tcp))

    return attack


def _option(level: int, option: int, family: int = socket.AF_INET) -> Attack:
    def attack(_: Targets) -> None:
        with socket.socket(family) as sock:
            sock.setsockopt(level, option, bytes(8))

    return attack


def _ioctl(request: int) -> Attack:
    def attack(_: Targets) -> None:
        with socket.socket() as sock:
            call("ioctl", sock.fileno(), request, bytes(120))

    return attack


def _bind(_: Targets) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))


def _receive_message(_: Targets) -> None:
    ours, theirs = socket.socketpair()
    theirs.send(b"x")
    ours.recvmsg(1)


def _listen(_: Targets) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()


def _socket(*arguments: int) -> Attack:
    return lambda _: socket.socket(*arguments).close()


NETWORK: dict[str, Attack] = {
    "TCP": lambda t: _tcp_to(t.tcp),
    "TCP to port 53": lambda _: _tcp_to(53),
    "MPTCP": _connected_by(socket.SOCK_STREAM, _MPTCP),
    "SCTP": _socket(socket.AF_INET, socket.SOCK_STREAM, _SCTP),
    "fast open by sendto": _fast_open,
    "fast open by sendmsg": _fast_open_message,
    "fast open by sendmmsg": _fast_open_by_sendmmsg,
    "fast open by an option": _fast_open_option,
    "MPTCP by an option": _ulp,
    "UDP by sendto": _udp_sendto,
    "UDP by connect": _udp_connect,
    "UDP by sendmsg": _udp_message,
    "UDP-Lite": _socket(socket.AF_INET, socket.SOCK_DGRAM, 136),
    "ping": _socket(socket.AF_INET, socket.SOCK_DGRAM, 1),
    "raw": _socket(socket.AF_INET, socket.SOCK_RAW, 255),
    "packet": _socket(socket.AF_PACKET, socket.SOCK_RAW, 0),
    "netlink": _socket(socket.AF_NETLINK, socket.SOCK_RAW, 0),
    "vsock": _socket(socket.AF_VSOCK, socket.SOCK_STREAM, 0),
    "bluetooth": _socket(31, socket.SOCK_RAW, 1),
    "kernel crypto": _socket(38, socket.SOCK_SEQPACKET, 0),
    "XDP": _socket(44, socket.SOCK_RAW, 0),
    "SMC": _socket(43, socket.SOCK_STREAM, 0),
    "TCP over IPv6": _at("::1"),
    "TCP to a mapped address": _at("::ffff:127.0.0.1"),
    "TCP to no address": _at("0.0.0.0"),
    "TCP to no address over IPv6": _at("::"),
    "MPTCP over IPv6": _socket(socket.AF_INET6, socket.SOCK_STREAM, _MPTCP),
    "SCTP in sequence": _socket(socket.AF_INET, socket.SOCK_SEQPACKET, _SCTP),
    "UDP-Lite over IPv6": _socket(socket.AF_INET6, socket.SOCK_DGRAM, 136),
    "DCCP": _socket(socket.AF_INET, 6, 33),
    "L2TP": _socket(socket.AF_INET, socket.SOCK_DGRAM, 115),
    "ping over IPv6": _socket(socket.AF_INET6, socket.SOCK_DGRAM, 58),
    "raw over IPv6": _socket(socket.AF_INET6, socket.SOCK_RAW, 58),
    "packets of old": _socket(socket.AF_INET, 10, 0),
    "a protocol in the upper half": calls("socket", 2, 1, _MPTCP | 1 << 32),
    "a type in the upper half": calls("socket", 2 | 1 << 32, 3, 255),
    **{
        f"family {number}": _socket(number, kind, 0)
        for kind, numbers in _FAMILIES.items()
        for number in numbers
    },
    **{name: _option(*place) for name, place in _OPTIONS.items()},
    **{name: _ioctl(request) for name, request in _IOCTLS.items()},
    "a port of its own": _bind,
    "messages with descriptors": _receive_message,
    "listen": _listen,
    "sendfile": calls("sendfile", 1, 0, 0, 1),
}


def _unix(kind: int, address: str | bytes) -> None:
    with socket.socket(socket.AF_UNIX, kind) as sock:
        sock.settimeout(2)
        sock.connect(address)


def _bind_abstract(_: Targets) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(b"\0maskwatch-attack")


def _pass_descriptor(_: Targets) -> None:
    ours, theirs = socket.socketpair()
    socket.send_fds(ours, [b"x"], [0])
    socket.recv_fds(theirs, 1, 1)


LOCAL: dict[str, Attack] = {
    "path socket": lambda t: _unix(socket.SOCK_STREAM, t.unix),
    "datagrams to a path socket": lambda t: _unix(socket.SOCK_DGRAM, t.unix),
    "sequential packets": lambda t: _unix(socket.SOCK_SEQPACKET, t.unix),
    "abstract socket": lambda _: _unix(socket.SOCK_STREAM, b"\0maskwatch-attack"),
    "an abstract name": _bind_abstract,
    "datagrams to an abstract socket": lambda _: _unix(socket.SOCK_DGRAM, b"\0maskwatch-attack"),
    "a pair of datagram sockets": lambda _: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM),
    "a pair of another family": lambda _: socket.socketpair(30, socket.SOCK_SEQPACKET, 0),
    "name service cache": lambda _: _unix(socket.SOCK_STREAM, "/var/run/nscd/socket"),
    "system bus": lambda _: _unix(socket.SOCK_STREAM, "/run/dbus/system_bus_socket"),
    "journal": lambda _: _unix(socket.SOCK_DGRAM, "/run/systemd/journal/socket"),
    "passing descriptors": _pass_descriptor,
    "shared memory": calls("shmget", 1, 4096, 0o1600),
    "semaphores": calls("semget", 1, 1, 0o1600),
    "message queue": calls("msgget", 1, 0o1600),
    "POSIX message queue": calls("mq_open", b"x\0", 0o102, 0o600, 0),
}
