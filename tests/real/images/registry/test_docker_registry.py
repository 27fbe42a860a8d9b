"""With a real registry, and skopeo on its other side: the same bytes under the same digests."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.api import tls
from engine.images.registry.credentials import Keychain
from engine.images.registry.errors import Denied, Unreachable
from engine.images.registry.network import Network
from engine.images.registry.pull import Pulled, pull
from engine.images.registry.push import push
from engine.images.registry.session import Session
from engine.images.store import ImageStore
from engine.images.types import Digest, Platform
from tests.real.images.layouts import Layout
from tests.real.images.registry.server import Cable, Server, docker_registry
from tests.real.images.tars import file, folder, tar

RANDOM = random.Random(1)
SMALL = tar(folder("d"), file("d/a", b"a" * 5000))
LARGE = tar(file("large", RANDOM.randbytes(8 << 20)))


def tool(*command: object) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def skopeo(verb: str, *words: object) -> str:
    insecure = {"inspect": ["--tls-verify=false"], "delete": ["--tls-verify=false"]}
    both = ["--src-tls-verify=false", "--dest-tls-verify=false"]
    return tool("skopeo", verb, *insecure.get(verb, both), *words)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with docker_registry(tmp_path / "registry") as server:
        yield server


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ImageStore]:
    store = ImageStore(tmp_path / "store")
    yield store
    store.close()


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    layout = Layout(tmp_path / "layout")
    layout.image([SMALL], name="small:1", packed=True)
    layout.image([SMALL, LARGE], name="large:1", packed=True)
    return layout.write()


def session(**more: object) -> Session:
    return Session(Network(), Keychain(), **more)  # type: ignore[arg-type]


def digest_of(name: str) -> str:
    return str(json.loads(skopeo("inspect", f"docker://{name}"))["Digest"])


@pytest.mark.parametrize("form", ["oci", "v2s2"])
def test_what_skopeo_pushes_we_pull(
    server: Server, store: ImageStore, layout: Path, form: str
) -> None:
    name = f"{server.host}/team/app:1"
    skopeo("copy", "--format", form, f"oci:{layout}:large:1", f"docker://{name}")
    done = pull(store, name, session())
    assert str(done.digest) == str(done.image.digest) == digest_of(name)
    assert len(store.prepare(done.image)) == 2
    again = pull(store, name, session())
    assert (again.transferred, again.new) == (0, False)


def test_what_we_push_skopeo_copies(
    server: Server, store: ImageStore, layout: Path, tmp_path: Path
) -> None:
    _, large = sorted(store.load(layout), key=lambda image: len(image.layers))
    name = f"{server.host}/ours/app:1"
    pushed = push(store, "large:1", session(), destination=name)
    assert str(pushed.digest) == str(large.digest) == digest_of(name)
    skopeo("copy", f"docker://{name}", f"oci:{tmp_path / 'copy'}:x")
    index = json.loads((tmp_path / "copy/index.json").read_text())
    assert index["manifests"][0]["digest"] == str(large.digest)
    again = push(store, "large:1", session(), destination=f"{server.host}/ours/app:2")
    assert again.transferred == 0


def test_large_blobs_go_in_parts(
    server: Server, store: ImageStore, layout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.images.registry.client.PART", 3 << 20)
    store.load(layout)
    name = f"{server.host}/parts:1"
    pushed = push(store, "large:1", session(), destination=name)
    assert len(server.requests("PATCH")) == 3
    assert str(pushed.digest) == digest_of(name)


def test_blobs_are_mounted_from_a_neighbour(
    server: Server, store: ImageStore, layout: Path
) -> None:
    store.load(layout)
    push(store, "large:1", session(), destination=f"{server.host}/one:1")
    pull(store, f"{server.host}/one:1", session())
    pushed = push(store, "large:1", session(), destination=f"{server.host}/two:1")
    assert pushed.transferred == 0
    assert {line[-3:] for line in server.requests("mount=")} == {"201"}


def test_only_layers_that_are_missing_travel(
    server: Server, store: ImageStore, layout: Path
) -> None:
    for image in ("small", "large"):
        skopeo("copy", f"oci:{layout}:{image}:1", f"docker://{server.host}/{image}:1")
    first = pull(store, f"{server.host}/small:1", session())
    (shared,) = first.image.layers
    second = pull(store, f"{server.host}/large:1", session())
    assert second.image.layers[0].digest == shared.digest
    assert second.transferred == second.image.size - shared.size
    assert len(server.requests(f"GET /v2/small/blobs/{shared.digest}")) == 1
    assert not server.requests(f"GET /v2/large/blobs/{shared.digest}")


def test_an_index_and_its_platforms(server: Server, store: ImageStore, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "several")
    entries = []
    for architecture, layer in (("amd64", SMALL), ("arm64", LARGE)):
        entry = layout.image([layer], name="", packed=True, architecture=architecture)
        entries.append(entry | {"platform": {"os": "linux", "architecture": architecture}})
    kind = "application/vnd.oci.image.index.v1+json"
    document = {"schemaVersion": 2, "mediaType": kind, "manifests": entries}
    top = layout.blob(json.dumps(document).encode(), kind)
    layout.entries = [top | {"annotations": {"org.opencontainers.image.ref.name": "all"}}]
    name = f"{server.host}/several:1"
    skopeo("copy", "--all", f"oci:{layout.write()}:all", f"docker://{name}")
    # It may write the index in other words.
    listed = str(Digest.of(skopeo("inspect", "--raw", f"docker://{name}").encode()))
    for entry in entries:
        architecture = entry["platform"]["architecture"]
        wanted = Platform(os="linux", architecture=architecture)
        done = pull(store, name, session(), platform=wanted)
        assert (str(done.digest), str(done.image.digest)) == (listed, entry["digest"])
        assert done.image.architecture == architecture


def test_a_tag_that_is_deleted_is_gone(server: Server, store: ImageStore, layout: Path) -> None:
    name = f"{server.host}/app:1"
    skopeo("copy", f"oci:{layout}:small:1", f"docker://{name}")
    skopeo("delete", f"docker://{name}")
    with pytest.raises(Exception, match="MANIFEST_UNKNOWN"):
        pull(store, name, session())


def test_a_password(tmp_path: Path, store: ImageStore, layout: Path) -> None:
    with docker_registry(tmp_path / "registry", auth=True) as server:
        name = f"{server.host}/app:1"
        login = f'{{"auths": {{"{server.host}": {{"auth": "dTpw"}}}}}}'.encode()
        known = Session(Network(), Keychain([("test", login)]))
        store.load(layout)
        with pytest.raises(Denied, match="asks for a name and a password"):
            push(store, "small:1", session(), destination=name)
        pushed = push(store, "small:1", known, destination=name)
        assert pull(store, name, known).digest == pushed.digest
        with pytest.raises(Denied):
            pull(store, name, session())


def test_certificates(tmp_path: Path, store: ImageStore, layout: Path) -> None:
    """Of the server, by a CA of our own; of the client, when the registry wants one."""
    pki, strangers = tmp_path / "pki", tmp_path / "strangers"
    tls.ensure(pki)
    tls.ensure(strangers)

    def known(server: Server, text: str) -> Session:
        settings = f'[registry."{server.host}"]\n{text}'
        (tmp_path / "registries.toml").write_text(settings)
        return Session(Network.read(tmp_path), Keychain())

    store.load(layout)
    with docker_registry(tmp_path / "open", pki=pki) as server:
        name = f"{server.host}/app:1"
        push(store, "small:1", known(server, 'ca = "pki/ca.crt"'), destination=name)
        pull(store, name, session())  # this machine's own need not be trusted
        with pytest.raises(Unreachable, match=r"certificate is not trusted"):
            pull(store, name, known(server, 'ca = "strangers/ca.crt"'))
    with docker_registry(tmp_path / "closed", pki=pki, clients=True) as server:
        name = f"{server.host}/app:1"
        key = 'client_cert = "pki/admin.crt"\nclient_key = "pki/admin.key"'
        push(store, "small:1", known(server, f'ca = "pki/ca.crt"\n{key}'), destination=name)
        with pytest.raises(Unreachable):
            pull(store, name, known(server, 'ca = "pki/ca.crt"'))


PULL = """
import sys
from pathlib import Path
from engine.images.registry.credentials import Keychain
from engine.images.registry.network import Network
from engine.images.registry.pull import pull
from engine.images.registry.session import Session
from engine.images.store import ImageStore
from engine.images.registry.wire import Clock

class Hurried(Clock):
    time = 0.0
    def now(self):
        self.time += 0.2
        return self.time

watch = lambda event: print(f"{getattr(event, 'done', 0)}\\n", end="", flush=True)
session = Session(Network(), Keychain(), watch=watch, clock=Hurried())
pull(ImageStore(Path(sys.argv[1])), sys.argv[2], session)
"""


def test_a_pull_that_was_killed_is_gone_on_with(
    server: Server, store: ImageStore, layout: Path
) -> None:
    skopeo("copy", f"oci:{layout}:large:1", f"docker://{server.host}/app:1")
    cable = Cable(server.host, limit=5 << 20)
    name = f"{cable.host}/app:1"
    command = [sys.executable, "-c", PULL, str(store.root), name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert any(int(line) > 4 << 20 for line in child.stdout)
        child.kill()
    assert store.images() == []
    came = sum(part.stat().st_size for part in (store.root / "ingest").iterdir())
    assert came > 4 << 20
    cable.mend()
    done: Pulled = pull(store, name, session())
    cable.close()
    assert done.transferred == done.image.size - came
    assert cable.carried < done.image.size - came + 100_000
    assert len(store.prepare(done.image)) == 2
    assert list((store.root / "ingest").iterdir()) == []
    assert list((store.root / "tmp").iterdir()) == []
