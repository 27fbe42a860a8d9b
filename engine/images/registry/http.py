"""Requests and their answers: tried again where that helps, redirected where that is safe.

A body is only ever read up to a limit. Credentials go to the origin they are for: a redirect to
another one, or from https to http, does not take them along (CVE-2020-15157 shows the harm).
"""

import email.utils
import http.client
import random
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType

from engine.images.registry.errors import BadAnswer, RateLimited, Unreachable, words
from engine.images.registry.network import Network, Origin, Url
from engine.images.registry.stop import Stop
from engine.images.registry.wire import Clock, Connection, Patience, reason

CHUNK = 256 << 10
ATTEMPTS = 5
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 60.0
_REDIRECTS = 5
_MOVED = {301, 302, 303, 307, 308}
_PASSING = {408, 429, 500, 502, 503, 504}
_AGENT = "podarium"


class Lost(ConnectionError):
    """The connection broke before the answer was whole. What was asked may be asked again."""


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent: `size` bytes that can be made again for another try."""

    size: int
    chunks: Callable[[], Iterable[bytes]]
    kind: str = "application/octet-stream"


@dataclass(frozen=True, slots=True)
class Request:
    """`authorization` is for this origin alone. An answer must be whole within a minute, unless
    its body may take up to `most` bytes, with all that is around it."""

    method: str
    url: Url
    headers: Mapping[str, str]
    authorization: str | None = field(default=None, repr=False)
    body: Body | None = None
    most: int = 0

    @property
    def safe(self) -> bool:
        """Whether it may be repeated, and follow redirects."""
        return self.method in ("GET", "HEAD")


class Answer:
    """Status and headers of an answer whose body is still to be read. Use it in a `with`."""

    def __init__(
        self,
        connection: Connection,
        response: http.client.HTTPResponse,
        request: Request,
        reuse: Callable[[Connection], None],
    ) -> None:
        self._connection = connection
        self._response = response
        self._reuse: Callable[[Connection], None] | None = reuse
        self._whole = response.isclosed()
        self.url = request.url
        self.status = response.status
        self.headers = response.headers

    def __enter__(self) -> "Answer":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the connection serve others when nothing is left on it."""
        self._response.close()
        reuse, self._reuse = self._reuse, None
        if reuse is None:
            return
        if self._whole and not self._response.will_close:
            reuse(self._connection)
        else:
            self._connection.close()

    def header(self, name: str) -> str:
        return self.headers.get(name, "").strip()

    def length(self) -> int | None:
        """Content-Length, when it is one."""
        text = self.header("Content-Length")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None

    def chunks(self) -> Iterator[bytes]:
        """The body as it comes. Raise Lost when it ends before its own length."""
        try:
            while chunk := self._response.read1(CHUNK):
                yield chunk
            if self._response.length:
                raise Lost(f"cut off {self._response.length} bytes before its end")
            self._whole = True
        except (OSError, http.client.HTTPException) as error:
            self._response.close()
            raise error if isinstance(error, Lost) else Lost(reason(error)) from error

    def read(self, limit: int, what: str) -> bytes:
        """The whole body; raise BadAnswer when it is longer than `limit` bytes."""
        if (self.length() or 0) > limit:
            raise BadAnswer(f"{what}: {self.length()} bytes, the limit is {limit}")
        found = bytearray()
        for chunk in self.chunks():
            found += chunk
            if len(found) > limit:
                raise BadAnswer(f"{what}: more than the limit of {limit} bytes")
        return bytes(found)


Retrying = Callable[[str, float], None]
"""(why, seconds until the next try)"""


class Http:
    """Connections to any number of origins; used from several threads."""

    def __init__(
        self,
        network: Network,
        stop: Stop,
        *,
        clock: Clock | None = None,
        patience: Patience | None = None,
        retrying: Retrying = lambda why, seconds: None,
    ) -> None:
        self.network = network
        self.stop = stop
        self.clock = clock or Clock()
        self.retrying = retrying
        self._patience = patience or Patience()
        self._lock = threading.Lock()
        self._idle: defaultdict[Origin, list[Connection]] = defaultdict(list)

    def close(self) -> None:
        with self._lock:
            connections = [c for idle in self._idle.values() for c in idle]
            self._idle.clear()
        for connection in connections:
            connection.close()

    def send(self, request: Request) -> Answer:
        """The answer, whatever its status, after redirects and, for what is safe, some tries.

        Raise Unreachable, RateLimited, BadAnswer or Cancelled.
        """
        for attempt in range(1, ATTEMPTS + 1):
            last = attempt == ATTEMPTS
            try:
                answer = self._follow(request)
            except Lost as error:
                if last or not request.safe:
                    raise Unreachable(request.url.origin.netloc, str(error)) from error
                self.pause(attempt, str(error))
                continue
            limited = answer.status == 429  # it was not even looked at
            if answer.status not in _PASSING or (not limited and (last or not request.safe)):
                return answer
            with answer:
                wait = _retry_after(answer.header("Retry-After"))
            why = f"{answer.url.origin.netloc} says {answer.status}"
            if last or (wait or 0) > _LONGEST_WAIT_S:
                if limited:
                    raise RateLimited(_limited(answer, wait), wait)
                raise Unreachable(answer.url.origin.netloc, f"{why}, try again in {wait:.0f} s")
            self.pause(attempt, why, wait)
        raise AssertionError("the last attempt returns or raises")

    def pause(self, attempt: int, why: str, seconds: float | None = None) -> None:
        """Wait before try `attempt + 1`: as long as was asked for, or longer each time."""
        if seconds is None:
            # Jitter, so that many who failed together do not come again together.
            seconds = _FIRST_WAIT_S * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)
        self.retrying(why, seconds)
        self.clock.wait(self.stop, seconds)

    def _follow(self, request: Request) -> Answer:
        for _ in range(_REDIRECTS + 1):
            answer = self._once(request)
            if answer.status not in _MOVED or not request.safe:
                return answer
            with answer:
                url = Url.parse(answer.header("Location"), answer.url)
            before, after = request.url.origin, url.origin
            if (before.scheme, after.scheme) == ("https", "http"):
                raise BadAnswer(f"{before}: redirects to {after}, which is not safe")
            kept = request.authorization if before == after else None
            request = replace(request, url=url, authorization=kept)
        raise BadAnswer(f"{request.url.origin.netloc}: redirects more than {_REDIRECTS} times")

    def _once(self, request: Request) -> Answer:
        self.stop.check()
        connection = self._connection(request.url.origin)
        try:
            response = self._exchange(connection, request)
        except BaseException as error:
            connection.close()
            if isinstance(error, OSError | http.client.HTTPException):
                self.stop.check()
                raise Lost(reason(error)) from error
            raise
        return Answer(connection, response, request, self._keep)

    def _exchange(self, connection: Connection, request: Request) -> http.client.HTTPResponse:
        target = connection.prefix + request.url.target
        connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
        headers = {
            "Host": request.url.origin.netloc,
            "User-Agent": _AGENT,
            "Accept-Encoding": "identity",
            **connection.extra,
            **request.headers,
        }
        if request.authorization:
            headers["Authorization"] = request.authorization
        if request.body:
            headers |= {
                "Content-Type": request.body.kind,
                "Content-Length": str(request.body.size),
            }
        elif not request.safe:
            headers["Content-Length"] = "0"
        for name, value in headers.items():
            connection.putheader(name, value)
        try:
            connection.endheaders()
            for chunk in request.body.chunks() if request.body else ():
                connection.send(chunk)
        except (BrokenPipeError, ConnectionResetError):
            # Whoever has heard enough says why, and hangs up before we are through.
            self.stop.check()
        connection.wire.expect()
        response = connection.getresponse()
        connection.wire.expect(request.most)
        return response

    def _connection(self, origin: Origin) -> Connection:
        while True:
            with self._lock:
                idle = self._idle[origin].pop() if self._idle[origin] else None
            if idle is None:
                break
            if idle.wire.idle:
                return idle
            idle.close()
        connection = Connection(origin, self.network, self.stop, self.clock, self._patience)
        connection.connect()
        return connection

    def _keep(self, connection: Connection) -> None:
        with self._lock:
            self._idle[connection.origin].append(connection)


def _retry_after(text: str) -> float | None:
    """Seconds, or a date (RFC 9110, 10.2.3)."""
    if text.isascii() and text.isdigit() and len(text) < 9:
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text)
        return max(0.0, date.timestamp() - time.time())
    except (ValueError, OverflowError):
        return None


def allowance(answer: Answer) -> str:
    """What is left of a registry's limit, in words; "" when it says nothing. Docker Hub's way:
    `ratelimit-limit: 100;w=21600`, `ratelimit-remaining: 97;w=21600`."""
    left, _, _ = answer.header("ratelimit-remaining").partition(";")
    limit, _, window = answer.header("ratelimit-limit").partition(";w=")
    if not all(text.isascii() and text.isdigit() and len(text) < 9 for text in (left, limit)):
        return ""
    seconds = int(window) if window.isascii() and window.isdigit() and len(window) < 9 else 0
    return f"{left} of {limit} pulls" + (f" in {seconds / 3600:g} h" if seconds else "") + " left"


def _limited(answer: Answer, wait: float | None) -> str:
    host = answer.url.origin.netloc
    again = f"; try again in {wait:.0f} s" if wait else ""
    limit = answer.header("ratelimit-limit")
    about = f" (its limit: {words(limit)})" if limit else ""
    return f"registry {host}: too many requests{about}{again}"
