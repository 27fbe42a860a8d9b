"""How one proves to a registry who one is: it asks by a 401, and a token server or a password
answers.

Only a registry's own 401 is answered; one from wherever it redirected to is not. A registry that is
spoken to by https cannot send credentials to a token server by http. Sources: distribution's
"Token Authentication" and "OAuth2", RFC 9110 section 11.
"""

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import quote, urlencode

import msgspec

from engine.images.registry.credentials import Credential
from engine.images.registry.errors import BadAnswer, Denied, words
from engine.images.registry.http import Answer, Body, Http, Request
from engine.images.registry.network import Origin, Url

_LIFETIME_S = 60.0  # when the server does not say ("Token Response Fields")
_LONGEST_S = 24 * 3600.0
_MARGIN_S = 5.0
_LIMIT = 1 << 20
_CLIENT = "podarium"

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME = re.compile(rf"\s*,*\s*({_TOKEN})(?:\s+|$|(?=,))")
_PARAMETER = re.compile(rf'\s*,?\s*({_TOKEN})\s*=\s*(?:"((?:[^"\\]|\\.)*)"|({_TOKEN}))\s*(?=,|$)')
_VISIBLE = re.compile(r"[\x21-\x7e]+")


@dataclass(frozen=True, slots=True)
class Challenge:
    """What a 401 asks for. The scheme and the parameters' names are in lower case."""

    scheme: str
    parameters: dict[str, str]


def challenges(values: Sequence[str]) -> list[Challenge]:
    """The challenges of WWW-Authenticate headers; what is no challenge is passed over."""
    found = []
    for value in values:
        position = 0
        while match := _SCHEME.match(value, position):
            position = match.end()
            parameters: dict[str, str] = {}
            while pair := _PARAMETER.match(value, position):
                text = pair[3] if pair[2] is None else re.sub(r"\\(.)", r"\1", pair[2])
                parameters.setdefault(pair[1].lower(), text)
                position = pair.end()
            found.append(Challenge(match[1].lower(), parameters))
    return found


class _TokenAnswer(msgspec.Struct, frozen=True):
    token: str | None = None
    access_token: str | None = None
    expires_in: float | None = None


@dataclass(frozen=True, slots=True)
class _Token:
    header: str = field(repr=False)
    until: float


class Authenticator:
    """Of one registry; shared by its threads. Tokens are kept for each scope until they expire."""

    def __init__(self, http: Http, origin: Origin, credential: Credential | None) -> None:
        self._http = http
        self._origin = origin
        self._credential = credential
        self._lock = threading.Lock()
        self._tokens: dict[str, _Token] = {}
        self._basic = False

    def header(self, scope: str) -> str | None:
        """What to send along with a request for a scope, as far as is known by now."""
        with self._lock:
            token = self._tokens.get(scope)
        if token is not None and token.until > self._http.clock.now():
            return token.header
        return self._credential.basic if self._basic and self._credential else None

    def answer(self, denied: Answer, sent: str | None, scope: str) -> str:
        """What to send after a 401 for a request with `sent`. Raise Denied when nothing helps."""
        asked = challenges(denied.headers.get_all("WWW-Authenticate", []))
        for challenge in asked:
            if challenge.scheme == "bearer":
                with self._lock:
                    token = self._tokens.get(scope)
                    over = token is None or token.until <= self._http.clock.now()
                    if token is None or over or token.header == sent:
                        token = self._tokens[scope] = self._fetch(challenge.parameters, scope)
                return token.header
        if any(challenge.scheme == "basic" for challenge in asked):
            if self._credential is None:
                raise Denied(f"registry {self._origin.netloc}: asks for a name and a password")
            self._basic = True
            return self._credential.basic
        schemes = ", ".join(words(challenge.scheme) for challenge in asked) or "nothing known"
        raise Denied(f"registry {self._origin.netloc}: asks for {schemes} as credentials")

    def _fetch(self, parameters: dict[str, str], scope: str) -> _Token:
        realm = Url.parse(parameters.get("realm", ""))
        if (self._origin.scheme, realm.origin.scheme) == ("https", "http"):
            raise BadAnswer(f"registry {self._origin.netloc}: its token server must be https")
        service = parameters.get("service", "")
        answer = self._ask(realm, service, scope)
        with answer:
            host = realm.origin.netloc
            body = answer.read(_LIMIT, f"token server {host}")
            if answer.status in (400, 401, 403):
                raise Denied(
                    f"registry {self._origin.netloc}: its token server {host} refuses access"
                    f" ({'with' if self._credential else 'without'} credentials)"
                )
            if answer.status != 200:
                raise BadAnswer(f"token server {host}: says {answer.status}")
        try:
            told = msgspec.json.decode(body, type=_TokenAnswer)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise BadAnswer(f"token server {host}: its answer holds no token") from None
        token = told.token or told.access_token or ""
        if not _VISIBLE.fullmatch(token):
            raise BadAnswer(f"token server {host}: its answer holds no token")
        lifetime = min(max(told.expires_in or _LIFETIME_S, 0.0), _LONGEST_S)
        margin = min(_MARGIN_S, lifetime / 2)
        return _Token(f"Bearer {token}", self._http.clock.now() + lifetime - margin)

    def _ask(self, realm: Url, service: str, scope: str) -> Answer:
        credential = self._credential
        if credential is not None and credential.identity_token:
            form = {
                "grant_type": "refresh_token",
                "service": service,
                "client_id": _CLIENT,
                "scope": scope,
                "refresh_token": credential.identity_token,
            }
            data = urlencode(form).encode()
            body = Body(len(data), lambda: [data], "application/x-www-form-urlencoded")
            answer = self._http.send(Request("POST", realm, {}, body=body))
            if answer.status not in (404, 405):
                return answer
            answer.close()
        pairs = [("service", service)] if service else []
        pairs += [("scope", each) for each in scope.split(" ") if each]
        url = realm.with_query(urlencode(pairs, quote_via=quote)) if pairs else realm
        basic = credential.basic if credential else None
        return self._http.send(Request("GET", url, {}, authorization=basic))
