"""What a registry may answer to do harm, or by a fault, and how each is refused."""

import json
from collections.abc import Callable
from typing import Any, NamedTuple

from engine.images.errors import BadImage, ImageError
from engine.images.registry.errors import BadAnswer, Denied, NoRoom, RateLimited, Unreachable
from engine.images.types import CONFIG_LIMIT, MANIFEST_LIMIT
from tests.unit.images.registry.conftest import World
from tests.unit.images.registry.fake import CONFIG, INDEX, LAYER, MANIFEST, Handler, digest

DATA = b"layer" * 50_000


class Hostile(NamedTuple):
    """What the registry does, and how it is refused."""

    name: str
    arrange: Callable[[World], None]
    error: type[ImageError]
    words: str


def document(world: World, **changes: Any) -> dict[str, Any]:
    """A good manifest's document with some fields changed."""
    world.registry.image([DATA], name="good")
    found: dict[str, Any] = json.loads(world.registry.manifests["good"][1])
    return found | changes


def says(**changes: Any) -> Callable[[World], None]:
    """A manifest with these fields."""

    def arrange(world: World) -> None:
        world.registry.manifest("1", document(world, **changes), MANIFEST)

    return arrange


def sends(raw: bytes, kind: str = MANIFEST) -> Callable[[World], None]:
    """These bytes as a manifest."""
    return lambda world: world.registry.manifests.update({"1": (kind, raw)})


def layer(**changes: Any) -> Callable[[World], None]:
    """A manifest whose layer's descriptor is changed."""

    def arrange(world: World) -> None:
        found = document(world)
        found["layers"][0] |= changes
        world.registry.manifest("1", found)

    return arrange


def config(**changes: Any) -> Callable[[World], None]:
    def arrange(world: World) -> None:
        found = document(world)
        found["config"] |= changes
        world.registry.manifest("1", found)

    return arrange


def config_is(raw: bytes) -> Callable[[World], None]:
    return lambda world: says(config=world.registry.blob(raw, CONFIG))(world)


def index(depth: int = 1, platform: Any = None, **changes: Any) -> Callable[[World], None]:
    """An index that leads to a good image, with its descriptor changed."""

    def arrange(world: World) -> None:
        entry = world.registry.image([DATA], name="good") | changes
        if platform:
            entry["platform"] = platform
        for level in range(depth):
            name = "1" if level == depth - 1 else f"level{level}"
            entry = world.registry.manifest(
                name, {"schemaVersion": 2, "mediaType": INDEX, "manifests": [entry]}
            )

    return arrange


def on(path: str, action: Callable[[Handler], None]) -> Callable[[World], None]:
    """A good image, and something else when it is asked for."""

    def arrange(world: World) -> None:
        world.registry.image([DATA])
        world.registry.on("GET", path, action)

    return arrange


LAYER_PATH = f"blobs/{digest(DATA)}"
OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
A_CHUNK = b"1000\r\n" + b"x" * 4096 + b"\r\n"


def reply(status: int, body: bytes = b"", **headers: str) -> Callable[[Handler], None]:
    return lambda handler: handler.reply(status, body, **headers)


def raw(*pieces: bytes) -> Callable[[Handler], None]:
    return lambda handler: handler.raw(*pieces)


def endless(head: bytes, again: bytes) -> Callable[[Handler], None]:
    return lambda handler: handler.endless(head, again)


def declared(length: int) -> bytes:
    return OK + b"Content-Length: %d\r\n\r\n" % length


def leads(where: str) -> Callable[[World], None]:
    """A blob that is said to be elsewhere; {other} is another registry, {self} this one."""

    def arrange(world: World) -> None:
        place = where.replace("{other}", world.other.host).replace("{self}", world.registry.host)
        on("blobs/", reply(307, Location=place))(world)

    return arrange


def asks(challenge: str) -> Callable[[World], None]:
    """Every request is answered by a challenge."""

    def arrange(world: World) -> None:
        text = challenge.replace("{self}", world.registry.host)
        headers = {"WWW_Authenticate": text} if text else {}
        on("manifests/", reply(401, **headers))(world)

    return arrange


def token(action: Callable[[Handler], None]) -> Callable[[World], None]:
    def arrange(world: World) -> None:
        asks('Bearer realm="http://{self}/token"')(world)
        world.registry.on("GET", "/token", action)

    return arrange


DEEP = b'{"schemaVersion": 2, "a": ' + b"[" * 100_000
BIG = b'{"schemaVersion": 2, "x": "' + b"x" * MANIFEST_LIMIT + b'"}'
BOTH = b'{"schemaVersion": 2, "mediaType": "%s", "manifests": [], "layers": []}' % INDEX.encode()
NOTHING = b'{"schemaVersion": 2, "mediaType": "%s", "manifests": []}' % INDEX.encode()
ANOTHER = "sha256:" + "0" * 64

HOSTILE = [
    # Manifests
    Hostile("not JSON", sends(b"<html>"), BadAnswer, "malformed"),
    Hostile("no text", sends(b'{"mediaType": "\xff"}'), BadAnswer, "utf-8"),
    Hostile("not an object", sends(b"[1]"), BadAnswer, "Expected `object`"),
    Hostile("a deep one", sends(DEEP), BadAnswer, "manifest of x:1"),
    Hostile("an empty one", sends(b""), BadAnswer, "manifest of x:1"),
    Hostile("a large one", sends(BIG), BadAnswer, "the limit is 4194304"),
    Hostile("an endless one", on("manifests/", endless(CHUNKED, A_CHUNK)), BadAnswer, "limit of"),
    Hostile("a web page", sends(b"{}", "text/html"), BadAnswer, "'text/html', not an image"),
    Hostile("two types", sends(b'{"mediaType": "%s"}' % INDEX.encode()), BadAnswer, "outside"),
    Hostile("two natures", says(manifests=[]), BadImage, "not an image manifest"),
    Hostile("two natures, as an index", sends(BOTH, INDEX), BadImage, "not an image index"),
    Hostile("the first version", says(schemaVersion=1), BadAnswer, "first version"),
    Hostile("no version", says(schemaVersion=3), BadImage, "schemaVersion"),
    Hostile(
        "another digest than it says",
        on("manifests/", reply(200, b"{}", Content_Type=MANIFEST, Docker_Content_Digest=ANOTHER)),
        BadAnswer,
        "said to be sha256:0000",
    ),
    Hostile("an artifact", config(mediaType="application/wasm"), BadImage, "artifact"),
    Hostile("a path as digest", layer(digest="sha256:../../../../etc/passwd"), BadImage, "hexadec"),
    Hostile("a digest in capitals", layer(digest=ANOTHER.upper()), BadImage, "hexadecimal"),
    Hostile("a digest of another kind", config(digest="md5:" + "0" * 32), BadImage, "hexadecimal"),
    Hostile("a negative size", layer(size=-1), BadImage, "size"),
    Hostile("a size that is none", layer(size="1"), BadImage, "size"),
    Hostile("a size beyond numbers", layer(size=1 << 70), BadImage, "manifest"),
    Hostile("more than the disk holds", layer(size=1 << 60), NoRoom, "are free"),
    Hostile("a large config", config(size=CONFIG_LIMIT + 1), BadImage, "a config of"),
    Hostile("a foreign layer", layer(mediaType=f"{LAYER}+foreign"), BadImage, "cannot be used"),
    Hostile("an encrypted layer", layer(mediaType=f"{LAYER}+encrypted"), BadImage, "cannot be"),
    Hostile(
        "too many layers",
        lambda w: says(layers=[w.registry.blob(b"%d" % n, LAYER) for n in range(501)])(w),
        BadImage,
        "501 layers",
    ),
    Hostile(
        "one blob of two sizes",
        lambda w: says(
            layers=[w.registry.blob(DATA, LAYER), w.registry.blob(DATA, LAYER) | {"size": 1}]
        )(w),
        BadImage,
        "two sizes",
    ),
    # Indexes
    Hostile("indexes in indexes", index(depth=4), BadImage, "more than 3 deep"),
    Hostile("an index that lies in size", index(size=7), BadImage, "its index says 7"),
    Hostile("an index that lies in type", index(mediaType=INDEX), BadImage, "its index says"),
    Hostile("an index of what is not there", index(digest=ANOTHER), ImageError, "has no image"),
    Hostile("an index of nothing", sends(NOTHING, INDEX), BadImage, "only for nothing"),
    Hostile(
        "an index for others",
        index(platform={"os": "plan9", "architecture": "mips"}),
        BadImage,
        "only for plan9/mips",
    ),
    # Configs
    Hostile("a config that is none", config_is(b"\x00"), BadImage, "config"),
    Hostile(
        "a config for other layers",
        config_is(b'{"architecture":"a","os":"o","rootfs":{"type":"layers","diff_ids":[]}}'),
        BadImage,
        "0 diff ids",
    ),
    # Blobs
    Hostile("a longer blob", on(LAYER_PATH, reply(200, DATA + b"x")), BadAnswer, "250001 bytes"),
    Hostile("a shorter blob", on(LAYER_PATH, reply(200, DATA[1:])), BadAnswer, "249999 bytes"),
    Hostile("another blob", on(LAYER_PATH, reply(200, DATA[::-1])), BadImage, "have digest"),
    Hostile("an endless blob", on(LAYER_PATH, endless(CHUNKED, A_CHUNK)), BadImage, "longer than"),
    Hostile(
        "a blob that never comes to its end",
        on(LAYER_PATH, raw(declared(len(DATA)), DATA[:9])),
        Unreachable,
        "cut off",
    ),
    Hostile(
        "a blob without an end", on(LAYER_PATH, raw(OK + b"\r\n", DATA[:9])), Unreachable, "ended"
    ),
    Hostile(
        "an empty blob", on(LAYER_PATH, raw(CHUNKED, b"0\r\n\r\n")), Unreachable, "before its end"
    ),
    Hostile("chunks that are none", on(LAYER_PATH, raw(CHUNKED, b"zz\r\n")), Unreachable, "blob"),
    Hostile("a part nobody asked for", on(LAYER_PATH, reply(206, DATA)), BadAnswer, "says 206"),
    # Answers
    Hostile("no HTTP", on("manifests/", raw(b"SSH-2.0-OpenSSH_9\r\n")), Unreachable, "SSH-2.0"),
    Hostile("nothing at all", on("manifests/", raw(b"")), Unreachable, "without response"),
    Hostile("a long header", on("manifests/", raw(OK, b"a" * 99_999)), Unreachable, "header line"),
    Hostile(
        "headers without end", on("manifests/", endless(OK, b"a: b\r\n" * 9)), Unreachable, "100"
    ),
    Hostile("a server in pain", on("manifests/", reply(500, b"x" * 9)), Unreachable, "says 500"),
    Hostile("an odd status", on("manifests/", reply(299)), BadAnswer, "says 299"),
    Hostile("a tea pot", on("blobs/", reply(418)), BadAnswer, "says 418"),
    Hostile(
        "an endless complaint",
        on(
            "manifests/", endless(b"HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n", A_CHUNK)
        ),
        Denied,
        "denies access",
    ),
    Hostile(
        "come again next year",
        on("manifests/", reply(429, Retry_After="31536000")),
        RateLimited,
        "31536000",
    ),
    Hostile(
        "come again some time",
        on("manifests/", reply(429, Retry_After="-1e9, soon")),
        RateLimited,
        "too many",
    ),
    # Redirects
    Hostile(
        "round and round", leads("http://{self}/v2/x/blobs/again"), BadAnswer, "more than 5 times"
    ),
    Hostile("to a file", leads("file:///etc/passwd"), BadAnswer, "must be http"),
    Hostile("to nowhere", leads(""), BadAnswer, "more than 5 times"),
    Hostile("with a name", leads("http://root@{other}/"), BadAnswer, "must be http"),
    Hostile("to no port", leads("http://{other}9999999/"), BadAnswer, "address"),
    Hostile("to odd characters", leads("http://{other}/\x7f "), BadAnswer, "no address holds"),
    # Credentials
    Hostile("no challenge", asks(""), Denied, "asks for nothing known"),
    Hostile(
        "an unknown challenge", asks("Negotiate, Digest x=y"), Denied, "asks for negotiate, dig"
    ),
    Hostile("a garbled challenge", asks('=,"",Bearer'), Denied, "nothing known"),
    Hostile(
        "a token from a file", asks('Bearer realm="file:///etc/shadow"'), BadAnswer, "must be http"
    ),
    Hostile("a token from nobody", asks('Bearer service="x"'), BadAnswer, "must be http"),
    Hostile("no token", token(reply(200, b"{}")), BadAnswer, "no token"),
    Hostile(
        "a token with a line end",
        token(reply(200, b'{"token": "a\\r\\nX: y"}')),
        BadAnswer,
        "no tok",
    ),
    Hostile("a token that is none", token(reply(200, b"token")), BadAnswer, "no token"),
    Hostile("an endless token", token(endless(CHUNKED, A_CHUNK)), BadAnswer, "limit of"),
    Hostile(
        "a token that opens nothing", token(reply(200, b'{"token": "t"}')), Denied, "denies access"
    ),
    Hostile("a closed token server", token(reply(403)), Denied, "refuses access"),
    Hostile("a broken token server", token(reply(404)), BadAnswer, "says 404"),
]
