"""Links, addresses and routes over rtnetlink(7): just enough, in as few round trips as possible.

A message is built by one function and sent by request(), which may carry many: the kernel handles
them in order. A general library costs 0.6 s to import and 0.5 ms a link; this is for the paths
where a pod waits, and for the statistics read every second.
"""

import errno
import os
import socket
import struct
import time
from collections.abc import Iterator

# <linux/netlink.h>
_NLM_F_REQUEST = 0x1
_NLM_F_ACK = 0x4
_NLM_F_DUMP_INTR = 0x10
_NLM_F_DUMP = 0x300
_NLM_F_REPLACE = 0x100
_NLM_F_EXCL = 0x200
_NLM_F_CREATE = 0x400
_NLM_F_ACK_TLVS = 0x200
_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_NLMSGERR_ATTR_MSG = 1
_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_EXT_ACK = 11
_NLA_TYPE_MASK = 0x3FFF

# <linux/rtnetlink.h>
_RTM_NEWLINK, _RTM_GETLINK = 16, 18
_RTM_NEWADDR = 20
_RTM_NEWROUTE = 24
_RTM_GETSTATS = 94
_RT_TABLE_MAIN = 254
_RTPROT_STATIC = 4
_RT_SCOPE_UNIVERSE, _RT_SCOPE_LINK = 0, 253
_RTN_UNICAST = 1
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5

# <linux/if_link.h>, <linux/if_addr.h>, <linux/if.h>, <linux/veth.h>
_IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO, _IFLA_MASTER, _IFLA_NET_NS_FD = 3, 4, 18, 10, 28
_IFLA_INFO_KIND, _IFLA_INFO_DATA = 1, 2
_IFLA_STATS_LINK_64 = 1
_VETH_INFO_PEER = 1
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_IFLA_OPERSTATE = 16
_IF_OPER_UP = b"\x06"
_IFF_UP = 1
_IFNAMSIZ = 16

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_IFINFO = struct.Struct("=BxHiII")
_ROUTE = struct.Struct("=BBBBBBBBI")

_BUFFER = 1 << 16
_DUMP_ATTEMPTS = 16
_LOOK_AGAIN = 0.0005


class Message:
    """One request, without its sequence number; `about` names its object in an error."""

    __slots__ = ("about", "body", "flags", "type")

    def __init__(self, type: int, flags: int, body: bytes, about: str) -> None:
        self.type = type
        self.flags = flags
        self.body = body
        self.about = about

    def encode(self, sequence: int) -> bytes:
        flags = self.flags | _NLM_F_REQUEST | _NLM_F_ACK
        return _HEADER.pack(16 + len(self.body), self.type, flags, sequence, 0) + self.body


def connect() -> socket.socket:
    """A socket to the network namespace of the calling thread, which it goes on speaking to."""
    sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, 0)
    # Errors with the kernel's own text, and without our request's bytes.
    sock.setsockopt(_SOL_NETLINK, _NETLINK_EXT_ACK, 1)
    sock.setsockopt(_SOL_NETLINK, _NETLINK_CAP_ACK, 1)
    return sock


def request(sock: socket.socket, *messages: Message) -> None:
    """Send all messages at once and await every answer.

    The kernel goes on after a message that fails: the first failure is raised, as OSError naming
    what that message was about, once all are answered.
    """
    sock.send(b"".join(m.encode(sequence) for sequence, m in enumerate(messages)))
    failure: OSError | None = None
    waiting = len(messages)
    while waiting:
        for type_, flags, sequence, payload in _parse(sock.recv(_BUFFER)):
            if type_ == _NLMSG_ERROR:
                waiting -= 1
                failure = failure or _error(payload, flags, messages[sequence].about)
    if failure:
        raise failure


def link_up(index: int) -> Message:
    """Bring a link up; 1 is always `lo`. netdevice(7)."""
    return Message(_RTM_NEWLINK, 0, _IFINFO.pack(0, 0, index, _IFF_UP, _IFF_UP), f"link {index} up")


def veth(
    name: str, bridge_index: int, peer_name: str, peer_netns_fd: int, *, mtu: int | None = None
) -> Message:
    """A veth(4) pair: `name` here, up and on a bridge; its peer in another network namespace, down.

    The peer cannot be born up: a veth without its other end refuses to open.
    """
    size = b"" if mtu is None else _u32(_IFLA_MTU, mtu)
    peer = _attribute(
        _VETH_INFO_PEER,
        bytes(_IFINFO.size) + _name(peer_name) + size + _u32(_IFLA_NET_NS_FD, peer_netns_fd),
    )
    info = _kind("veth", peer)
    body = _IFINFO.pack(0, 0, 0, _IFF_UP, _IFF_UP) + _name(name) + size
    body += _u32(_IFLA_MASTER, bridge_index) + info
    return Message(_RTM_NEWLINK, _NLM_F_CREATE | _NLM_F_EXCL, body, f"veth {name}")


def address(index: int, ip: str, prefix: int) -> Message:
    """Add an address to a link; the same one again is an error (EEXIST)."""
    family, raw = _packed(ip)
    body = struct.pack("=BBBBI", family, prefix, 0, 0, index)
    body += _attribute(_IFA_LOCAL, raw) + _attribute(_IFA_ADDRESS, raw)
    about = f"address {ip}/{prefix} on link {index}"
    return Message(_RTM_NEWADDR, _NLM_F_CREATE | _NLM_F_EXCL, body, about)


def route(
    gateway: str | None, destination: str | None, index: int | None, *, replace: bool = False
) -> Message:
    """Add a route to `destination` ("10.0.0.0/8"; None is the default route) in the main table.

    With `replace` it takes the place of one to the same destination, else that is EEXIST.
    """
    body, about = _route(gateway, destination, index)
    mode = _NLM_F_REPLACE if replace else _NLM_F_EXCL
    return Message(_RTM_NEWROUTE, _NLM_F_CREATE | mode, body, about)


def index_of(sock: socket.socket, name: str) -> int:
    """A link's index. Raise OSError(ENODEV, ..., name) when there is none of that name."""
    asked = Message(_RTM_GETLINK, 0, bytes(_IFINFO.size) + _name(name), f"link {name}")
    index: int = _IFINFO.unpack_from(_ask(sock, asked))[2]
    return index


def await_up(sock: socket.socket, *indices: int, timeout: float = 2.0) -> None:
    """Wait until links are operational: the kernel acts some time after their other end is up.

    Until then a port of a bridge passes nothing, nor does a bridge without such a port, and what is
    lost meanwhile is sent again only after a second (ARP). Mostly it is so at once, but it needs a
    lock that the removal of any network namespace holds for 10 ms. After `timeout` (s) raise
    OSError(ETIMEDOUT) naming the link.
    """
    deadline = time.monotonic() + timeout
    for index in indices:
        while not is_up(sock, index):
            if time.monotonic() > deadline:
                raise OSError(errno.ETIMEDOUT, "carries nothing", f"link {index}")
            time.sleep(_LOOK_AGAIN)


def is_up(sock: socket.socket, index: int) -> bool:
    """Whether a link is operational, RFC 2863."""
    asked = Message(_RTM_GETLINK, 0, _IFINFO.pack(0, 0, index, 0, 0), f"link {index}")
    state = attributes(_ask(sock, asked)[_IFINFO.size :]).get(_IFLA_OPERSTATE)
    return state == _IF_OPER_UP


def link_stats(sock: socket.socket) -> dict[int, tuple[int, int]]:
    """(received, sent) bytes of every link, by index: RTM_GETSTATS, Linux 4.7."""
    # struct if_stats_msg: family, padding, ifindex, a bit for each attribute wanted.
    body = struct.pack("=BxHII", 0, 0, 0, 1 << (_IFLA_STATS_LINK_64 - 1))
    stats = {}
    for payload in _dump(sock, Message(_RTM_GETSTATS, _NLM_F_DUMP, body, "link statistics")):
        (index,) = struct.unpack_from("=I", payload, 4)
        # struct rtnl_link_stats64 follows the attribute's header: packets in, out, bytes in, out.
        stats[index] = struct.unpack_from("=QQ", payload, 12 + _ATTRIBUTE.size + 16)
    return stats


def _route(gateway: str | None, destination: str | None, index: int | None) -> tuple[bytes, str]:
    family, prefix, attributes = int(socket.AF_INET), 0, b""
    if destination is not None:
        network, _, length = destination.partition("/")
        family, raw = _packed(network)
        prefix = int(length) if length else len(raw) * 8
        attributes += _attribute(_RTA_DST, raw)
    if gateway is not None:
        family, raw = _packed(gateway)
        attributes += _attribute(_RTA_GATEWAY, raw)
    if index is not None:
        attributes += _u32(_RTA_OIF, index)
    scope = _RT_SCOPE_LINK if gateway is None else _RT_SCOPE_UNIVERSE
    head = (family, prefix, 0, 0, _RT_TABLE_MAIN, _RTPROT_STATIC, scope, _RTN_UNICAST, 0)
    via = f" via {gateway}" if gateway else ""
    return _ROUTE.pack(*head) + attributes, f"route to {destination or 'default'}{via}"


def _ask(sock: socket.socket, message: Message) -> bytes:
    """The payload of the one answer there is."""
    sock.send(message.encode(0))
    answer = b""
    while True:
        for type_, flags, _, payload in _parse(sock.recv(_BUFFER)):
            if type_ != _NLMSG_ERROR:
                answer = payload
                continue
            failure = _error(payload, flags, message.about)
            if failure:
                raise failure
            return answer


def _dump(sock: socket.socket, message: Message) -> list[bytes]:
    """The payload of every answer to a dump, from an attempt that no change interrupted."""
    for _ in range(_DUMP_ATTEMPTS):
        sock.send(message.encode(0))
        payloads: list[bytes] = []
        interrupted = done = False
        while not done:
            for type_, flags, _, payload in _parse(sock.recv(_BUFFER)):
                interrupted = interrupted or bool(flags & _NLM_F_DUMP_INTR)
                if type_ == _NLMSG_DONE:
                    done = True
                elif type_ == _NLMSG_ERROR:
                    failure = _error(payload, flags, message.about)
                    if failure:
                        raise failure
                else:
                    payloads.append(payload)
        if not interrupted:
            return payloads
    raise OSError(errno.EINTR, "changed during each of 16 dumps", message.about)


def _parse(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """(type, flags, sequence, payload) of each message in a datagram."""
    offset = 0
    while offset < len(data):
        length, type_, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        yield type_, flags, sequence, data[offset + _HEADER.size : offset + length]
        offset += (length + 3) & ~3


def _error(payload: bytes, flags: int, about: str) -> OSError | None:
    """The failure that struct nlmsgerr tells of; None when it is an acknowledgement."""
    (code,) = struct.unpack_from("=i", payload)
    if not code:
        return None
    text = os.strerror(-code)
    if flags & _NLM_F_ACK_TLVS:
        said = attributes(payload[4 + _HEADER.size :]).get(_NLMSGERR_ATTR_MSG)
        if said:
            text += f" ({said.rstrip(bytes(1)).decode(errors='replace')})"
    return OSError(-code, text, about)


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes in a payload, by type; of those of one type the last."""
    found = {}
    offset = 0
    while offset + _ATTRIBUTE.size <= len(data):
        length, type_ = _ATTRIBUTE.unpack_from(data, offset)
        if length < _ATTRIBUTE.size:
            break
        found[type_ & _NLA_TYPE_MASK] = data[offset + _ATTRIBUTE.size : offset + length]
        offset += (length + 3) & ~3
    return found


def _attribute(type_: int, value: bytes) -> bytes:
    header = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), type_)
    return header + value + bytes(-len(value) % 4)


def _u32(type_: int, value: int) -> bytes:
    return _attribute(type_, struct.pack("=I", value))


def _name(name: str) -> bytes:
    raw = os.fsencode(name)
    if not 0 < len(raw) < _IFNAMSIZ:
        raise ValueError(f"link name {name!r}: 1 to {_IFNAMSIZ - 1} bytes")
    return _attribute(_IFLA_IFNAME, raw + b"\0")


def _kind(kind: str, data: bytes = b"") -> bytes:
    """IFLA_LINKINFO."""
    info = _attribute(_IFLA_INFO_KIND, kind.encode())
    return _attribute(_IFLA_LINKINFO, info + (_attribute(_IFLA_INFO_DATA, data) if data else b""))


def _packed(ip: str) -> tuple[int, bytes]:
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    return family, socket.inet_pton(family, ip)
