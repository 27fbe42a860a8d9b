"""One connection to a stranger, and how long it is listened to.

Every byte that is received, of headers and of bodies, passes `Wire.receive`: there the end that was
asked for is seen, silence and slow dripping are given up, and nowhere else. Cancelling shuts the
socket down, which wakes the thread that waits on it.
"""

import base64
import http.client
import io
import socket
import ssl
import threading
import time
from dataclasses import dataclass
from typing import Any

from engine.images.registry.errors import Unreachable, words
from engine.images.registry.network import Network, Origin
from engine.images.registry.stop import Stop

_BUFFER = 64 << 10


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds: to get a connection, of silence, and for a whole small answer; and how slow a long
    one may be: `drip` bytes in `drip_s` seconds."""

    connect_s: float = 5.0
    silence_s: float = 30.0
    answer_s: float = 60.0
    drip: int = 32 << 10
    drip_s: float = 30.0


class Clock:
    """Time as far as it is needed; tests have their own."""

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def wait(self, stop: Stop, seconds: float) -> None:
        """Let time pass, or raise Cancelled."""
        stop.event.wait(seconds)
        stop.check()


class TooSlow(TimeoutError):
    """The other side speaks, but not as fast as it must."""


class Wire:
    """A connected socket, as much of one as http.client needs."""

    def __init__(self, sock: socket.socket, stop: Stop, clock: Clock, patience: Patience) -> None:
        self._sock = sock
        self._stop = stop
        self._clock = clock
        self._patience = patience
        self._readers, self._done = 0, False
        self._deadline = 0.0
        self._since, self._got, self._left = 0.0, 0, 0
        sock.settimeout(patience.silence_s)
        stop.register(self._shut)

    def expect(self, most: int = 0) -> None:
        """An answer begins, or its body: it must be whole in time, unless up to `most` bytes are
        expected, which must keep coming."""
        self._since, self._got, self._left = self._clock.now(), 0, most
        self._deadline = 0.0 if most else self._since + self._patience.answer_s

    def receive(self, buffer: memoryview) -> int:
        count = self._sock.recv_into(buffer)
        self._stop.check()
        now = self._clock.now()
        if self._deadline:
            if now > self._deadline:
                raise TooSlow(f"no whole answer in {self._patience.answer_s:.0f} s")
            return count
        self._got += count
        self._left -= count
        if self._left < 0:
            raise TooSlow("it does not come to its end")
        if now - self._since >= self._patience.drip_s:
            if self._got < self._patience.drip:
                raise TooSlow(f"{self._got} bytes in {now - self._since:.0f} s are too slow")
            self._since, self._got = now, 0
        return count

    def sendall(self, data: bytes) -> None:
        self._stop.check()
        self._sock.sendall(data)

    def makefile(self, mode: str, *_: Any) -> io.BufferedReader:
        self._readers += 1
        return io.BufferedReader(_Reader(self), _BUFFER)

    def close(self) -> None:
        """As a socket's: the last reader closes it."""
        self._done = True
        if not self._readers:
            self._stop.forget(self._shut)
            self._sock.close()

    def read_to_end(self) -> None:
        self._readers -= 1
        if self._done:
            self.close()

    @property
    def idle(self) -> bool:
        """Whether it can carry another request: whoever has nothing to say yet has not left."""
        self._sock.setblocking(False)
        try:
            # TLS has no MSG_PEEK; a byte before the question would be a fault anyway.
            self._sock.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except OSError:
            return False
        finally:
            self._sock.settimeout(self._patience.silence_s)
        return False

    def _shut(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it was not connected any more


class _Reader(io.RawIOBase):
    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._wire.receive(memoryview(buffer))

    def close(self) -> None:
        if not self.closed:
            self._wire.read_to_end()
        super().close()


class Connection(http.client.HTTPConnection):
    """HTTP/1.1 to an origin, through its proxy, inside TLS where that is due."""

    wire: Wire

    def __init__(
        self, origin: Origin, network: Network, stop: Stop, clock: Clock, patience: Patience
    ) -> None:
        super().__init__(origin.host, origin.port)
        self.origin = origin
        self._network = network
        self._stop = stop
        self._clock = clock
        self._patience = patience
        self._proxy = network.proxy(origin)

    @property
    def prefix(self) -> str:
        """What goes before the path in a request line: a proxy of plain http wants it whole."""
        return str(self.origin) if self._proxy and self.origin.scheme == "http" else ""

    @property
    def extra(self) -> dict[str, str]:
        """Headers for the proxy."""
        return self._login() if self.prefix else {}

    def connect(self) -> None:
        """Raise Unreachable at once, or after `patience.connect_s` when nobody answers."""
        through = self._proxy or self.origin
        try:
            sock = self._dial(through.host, through.port)
            if self.origin.scheme == "https":
                if self._proxy:
                    self._tunnel_through(sock)
                context = self._network.context(self.origin)
                sock = context.wrap_socket(sock, server_hostname=self.origin.host)
        except (OSError, http.client.HTTPException) as error:
            self._stop.check()
            raise Unreachable(self.origin.netloc, reason(error)) from error
        self.wire = Wire(sock, self._stop, self._clock, self._patience)
        self.sock = self.wire

    def _dial(self, host: str, port: int) -> socket.socket:
        failure: OSError = OSError(f"{host} has no address")
        for family, kind, protocol, _, address in _addresses(host, port, self._patience.connect_s):
            self._stop.check()
            sock = socket.socket(family, kind | socket.SOCK_CLOEXEC, protocol)
            try:
                sock.settimeout(self._patience.connect_s)
                sock.connect(address)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return sock
            except OSError as error:
                sock.close()
                failure = error
        raise failure

    def _tunnel_through(self, sock: socket.socket) -> None:
        host = f"[{self.origin.host}]" if ":" in self.origin.host else self.origin.host
        lines = [f"CONNECT {host}:{self.origin.port} HTTP/1.1", f"Host: {host}:{self.origin.port}"]
        lines += [f"{name}: {value}" for name, value in self._login().items()]
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        answer = http.client.HTTPResponse(sock, method="CONNECT")
        answer.begin()
        if answer.status != 200:
            raise OSError(f"the proxy says {answer.status} {words(answer.reason)}")

    def _login(self) -> dict[str, str]:
        if not self._proxy or not self._proxy.login:
            return {}
        encoded = base64.b64encode(self._proxy.login.encode()).decode()
        return {"Proxy-Authorization": f"Basic {encoded}"}


def _addresses(host: str, port: int, seconds: float) -> list[Any]:
    """getaddrinfo(3), which waits for name servers as long as it likes, in time."""
    found: list[Any] = []

    def ask() -> None:
        try:
            found.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            found.append(error)

    asking = threading.Thread(target=ask, name=f"resolve {host}", daemon=True)
    asking.start()
    asking.join(seconds)
    if not found:
        raise TooSlow(f"no name server answered for {host} in {seconds:.0f} s")
    if isinstance(found[0], UnicodeError):
        raise OSError(f"{host} is no host name")
    if isinstance(found[0], OSError):
        raise OSError(f"no address is known for {host} ({found[0].strerror})") from found[0]
    return list(found[0])


def reason(error: BaseException) -> str:
    """A failure in few words."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message}); see registries.toml"
    if isinstance(error, TooSlow):
        return str(error)
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return words(str(error)) or type(error).__name__
