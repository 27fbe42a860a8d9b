"""HTTP over a real unix socket and over real TLS with client certificates."""

from __future__ import annotations

import asyncio
import base64
import datetime
import ipaddress
import json
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from engine.client.client import Client
from engine.client.errors import KubeconfigError, Unreachable
from engine.client.http import HttpTransport
from engine.types.core import Pod
from engine.types.status import Gone, NotFound


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short: the path of a unix socket holds 108 bytes."""
    with tempfile.TemporaryDirectory(prefix="pdm") as name:
        yield Path(name)


async def answer(request: web.Request) -> web.StreamResponse:
    if request.path == "/hang":
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first\n")
        await asyncio.Event().wait()
    if request.path == "/break":
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first\n")
        assert request.transport is not None
        request.transport.abort()
        return response
    if request.path == "/gone":
        return web.json_response(Gone(1, 2).to_status(), status=410)
    if request.path.startswith("/api/"):
        return web.json_response(NotFound("pods", "x").to_status(), status=404)
    if request.path == "/only-good" and request.headers.get("Authorization") != "Bearer good":
        return web.json_response({"kind": "Status", "reason": "Unauthorized"}, status=401)
    peer = request.transport.get_extra_info("peercert") if request.transport else None
    return web.json_response(
        {
            "method": request.method,
            "path": request.raw_path,
            "accept": request.headers.get("Accept"),
            "type": request.headers.get("Content-Type"),
            "authorization": request.headers.get("Authorization"),
            "body": (await request.read()).decode(),
            "peer": peer["subject"][0][0][1] if peer else None,
        }
    )


@asynccontextmanager
async def serving(
    unix: Path | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site: web.BaseSite
    if unix is not None:
        site = web.UnixSite(runner, str(unix))
    else:
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    address = runner.addresses[0]
    try:
        yield address[1] if unix is None else 0
    finally:
        await runner.cleanup()


async def test_request(folder: Path) -> None:
    unix = folder / "s"
    async with serving(unix), HttpTransport(unix) as transport:
        got = await transport.request(
            "POST",
            "/a%2Fb",
            query={"labelSelector": "a=b,c in (d)"},
            body=b"x",
            content_type="application/json",
            accept="text/plain",
        )
    assert got.status == 200
    assert got.headers["content-type"].startswith("application/json")
    data = yaml.safe_load(got.body)
    assert data["method"] == "POST"
    assert data["path"] == "/a%2Fb?labelSelector=a%3Db%2Cc+in+%28d%29"
    assert (data["accept"], data["type"]) == ("text/plain", "application/json")
    assert (data["body"], data["authorization"]) == ("x", None)


async def test_refusals(folder: Path) -> None:
    unix = folder / "s"
    async with serving(unix), HttpTransport(unix) as transport:
        with pytest.raises(NotFound, match='pods "x" not found'):
            await Client(transport).get(Pod, "x")
        with pytest.raises(Gone):
            async with transport.stream("GET", "/gone"):
                pytest.fail("entered a refused stream")


async def test_stream_is_read_as_it_comes_and_ends_with_its_block(folder: Path) -> None:
    unix = folder / "s"
    async with serving(unix), HttpTransport(unix) as transport:
        async with transport.stream("GET", "/hang") as chunks:
            async for chunk in chunks:
                assert chunk == b"first\n"
                break


async def test_a_broken_stream(folder: Path) -> None:
    unix = folder / "s"
    async with serving(unix), HttpTransport(unix) as transport:
        with pytest.raises(Unreachable) as caught:
            await _read_all(transport, "/break")
    assert str(unix) in str(caught.value)


async def test_closing_ends_open_streams(folder: Path) -> None:
    unix = folder / "s"
    async with serving(unix):
        transport = HttpTransport(unix)
        async with transport.stream("GET", "/hang") as chunks:
            assert await anext(chunks) == b"first\n"
            more = asyncio.ensure_future(anext(chunks))
            await asyncio.sleep(0)
            await transport.close()
            with pytest.raises(Unreachable, match="the client was closed"):
                await more


async def _read_all(transport: HttpTransport, path: str) -> bytes:
    async with transport.stream("GET", path) as chunks:
        return b"".join([chunk async for chunk in chunks])


async def test_nobody_there(folder: Path) -> None:
    async with HttpTransport(folder / "none") as transport:
        with pytest.raises(Unreachable, match="No such file"):
            await transport.request("GET", "/")
        with pytest.raises(Unreachable, match="No such file"):
            async with transport.stream("GET", "/"):
                pass


def test_one_way_must_be_given() -> None:
    with pytest.raises(TypeError):
        HttpTransport()


@dataclass
class Authority:
    """A certificate authority of one test."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls) -> Authority:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _builder("test-ca", key.public_key(), "test-ca").add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        return cls(key, certificate.sign(key, hashes.SHA256()))

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Files with a certificate for `name` and 127.0.0.1, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = [x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        signed = (
            _builder(name, key.public_key(), "test-ca")
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        certificate_file, key_file = folder / f"{name}.crt", folder / f"{name}.key"
        certificate_file.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        key_file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate_file, key_file


def _builder(name: str, key: ec.EllipticCurvePublicKey, issuer: str) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
    )


def kubeconfig(
    folder: Path, port: int, cluster: dict[str, object], user: Mapping[str, object]
) -> Path:
    path = folder / "config"
    server = {"server": f"https://127.0.0.1:{port}", **cluster}
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "t",
                "contexts": [{"name": "t", "context": {"cluster": "t", "user": "t"}}],
                "clusters": [{"name": "t", "cluster": server}],
                "users": [{"name": "t", "user": user}],
            }
        )
    )
    return path


@pytest.fixture
def authority(folder: Path) -> Authority:
    made = Authority.make()
    (folder / "ca.crt").write_bytes(made.pem)
    return made


@pytest.fixture
def tls(folder: Path, authority: Authority) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.pem.decode())
    context.verify_mode = ssl.CERT_OPTIONAL
    # The CA made here is as bare as that of an old cluster: no key identifiers.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    context.load_cert_chain(*authority.issue(folder, "server"))
    return context


async def test_tls_with_a_client_certificate(
    folder: Path, authority: Authority, tls: ssl.SSLContext
) -> None:
    authority.issue(folder, "admin")
    async with serving(tls=tls) as port:
        user = {"client-certificate": "admin.crt", "client-key": "admin.key"}
        path = kubeconfig(folder, port, {"certificate-authority": "ca.crt"}, user)
        async with HttpTransport.from_kubeconfig(path) as transport:
            assert transport.endpoint == f"https://127.0.0.1:{port}"
            got = await transport.request("GET", "/who")
    assert yaml.safe_load(got.body)["peer"] == "admin"


async def test_tls_with_a_token_and_another_server_name(folder: Path, tls: ssl.SSLContext) -> None:
    (folder / "token").write_text("secret\n")
    cluster: dict[str, object] = {"certificate-authority": "ca.crt", "tls-server-name": "server"}
    async with serving(tls=tls) as port:
        path = kubeconfig(folder, port, cluster, {"tokenFile": "token"})
        async with HttpTransport.from_kubeconfig(path) as transport:
            got = await transport.request("GET", "/who")
            assert yaml.safe_load(got.body)["authorization"] == "Bearer secret"
            (folder / "token").write_text("renewed\n")
            got = await transport.request("GET", "/who")
            assert yaml.safe_load(got.body)["authorization"] == "Bearer renewed"


async def test_a_server_that_is_not_trusted(folder: Path, tls: ssl.SSLContext) -> None:
    (folder / "ca.crt").write_bytes(Authority.make().pem)
    async with serving(tls=tls) as port:
        path = kubeconfig(folder, port, {"certificate-authority": "ca.crt"}, {})
        async with HttpTransport.from_kubeconfig(path) as transport:
            with pytest.raises(Unreachable, match=r"(?i)certificate"):
                await transport.request("GET", "/who")
        path = kubeconfig(folder, port, {"insecure-skip-tls-verify": True}, {})
        async with HttpTransport.from_kubeconfig(path) as transport:
            assert (await transport.request("GET", "/who")).status == 200


async def test_a_name_that_the_server_does_not_have(folder: Path, tls: ssl.SSLContext) -> None:
    cluster: dict[str, object] = {"certificate-authority": "ca.crt", "tls-server-name": "other"}
    async with serving(tls=tls) as port:
        path = kubeconfig(folder, port, cluster, {})
        async with HttpTransport.from_kubeconfig(path) as transport:
            with pytest.raises(Unreachable, match="other"):
                await transport.request("GET", "/who")


async def test_broken_certificates_are_named(folder: Path) -> None:
    (folder / "ca.crt").write_bytes(b"not a certificate")
    path = kubeconfig(folder, 1, {"certificate-authority": "ca.crt"}, {})
    with pytest.raises(KubeconfigError, match="context 't': certificates"):
        HttpTransport.from_kubeconfig(path)


# -- credentials that a program gives ---------------------------------------------------------


def plugin(folder: Path, script: str, **more: object) -> dict[str, object]:
    """An `exec` user whose program is a shell script beside the kubeconfig; it counts its runs."""
    program = folder / "login"
    program.write_text(f"#!/bin/sh\necho run >>{folder}/runs\n{script}\n")
    program.chmod(0o755)
    version = "client.authentication.k8s.io/v1"
    return {"exec": {"apiVersion": version, "command": "./login", **more}}


def runs(folder: Path) -> int:
    return len((folder / "runs").read_text().splitlines())


def gives(folder: Path, **status: object) -> str:
    """The words of a script that gives this credential."""
    credential = {"apiVersion": "client.authentication.k8s.io/v1", "status": status}
    (folder / "credential").write_text(json.dumps(credential))
    return f"cat {folder}/credential"


async def test_a_program_gives_a_token_once(folder: Path, tls: ssl.SSLContext) -> None:
    script = f'echo "$KUBERNETES_EXEC_INFO $1 $EXTRA" >{folder}/asked; {gives(folder, token="abc")}'
    more = {"args": ["word"], "env": [{"name": "EXTRA", "value": "more"}]}
    user = plugin(folder, script, provideClusterInfo=True, **more)
    async with serving(tls=tls) as port:
        path = kubeconfig(folder, port, {"certificate-authority": "ca.crt"}, user)
        async with HttpTransport.from_kubeconfig(path) as transport:
            answers = await asyncio.gather(*(transport.request("GET", "/who") for _ in range(5)))
    assert {yaml.safe_load(got.body)["authorization"] for got in answers} == {"Bearer abc"}
    assert runs(folder) == 1
    asked, _, words = (folder / "asked").read_text().rpartition("} ")
    assert words == "word more\n"
    cluster = json.loads(asked + "}")["spec"]["cluster"]
    assert cluster["server"] == f"https://127.0.0.1:{port}"
    assert base64.b64decode(cluster["certificate-authority-data"]).startswith(b"-----BEGIN")


async def test_an_old_token_is_renewed(folder: Path, tls: ssl.SSLContext) -> None:
    script = gives(folder, token="old", expirationTimestamp="2020-01-01T00:00:00Z")
    async with serving(tls=tls) as port:
        path = kubeconfig(folder, port, {"certificate-authority": "ca.crt"}, plugin(folder, script))
        async with HttpTransport.from_kubeconfig(path) as transport:
            await transport.request("GET", "/who")
            gives(folder, token="new")
            got = await transport.request("GET", "/who")
            assert yaml.safe_load(got.body)["authorization"] == "Bearer new"
            await transport.request("GET", "/who")
    assert runs(folder) == 2


async def test_a_token_that_is_refused_is_renewed_once(folder: Path, tls: ssl.SSLContext) -> None:
    script = f"[ -e {folder}/again ] && exec cat {folder}/second; touch {folder}/again; "
    script += gives(folder, token="bad")
    good = {"apiVersion": "client.authentication.k8s.io/v1", "status": {"token": "good"}}
    (folder / "second").write_text(json.dumps(good))
    async with serving(tls=tls) as port:
        path = kubeconfig(folder, port, {"certificate-authority": "ca.crt"}, plugin(folder, script))
        async with HttpTransport.from_kubeconfig(path) as transport:
            assert (await transport.request("GET", "/only-good")).status == 200
            (folder / "second").write_text(json.dumps(good | {"status": {"token": "bad"}}))
    assert runs(folder) == 2
    async with serving(tls=tls) as port:
        path = kubeconfig(folder, port, {"certificate-authority": "ca.crt"}, plugin(folder, script))
        async with HttpTransport.from_kubeconfig(path) as transport:
            assert (await transport.request("GET", "/only-good")).status == 401


async def test_a_program_gives_a_certificate(
    folder: Path, authority: Authority, tls: ssl.SSLContext
) -> None:
    def issued(name: str, **more: object) -> str:
        certificate, key = authority.issue(folder, name)
        data = {"clientCertificateData": certificate.read_text(), "clientKeyData": key.read_text()}
        return gives(folder, **data, **more)

    script = issued("jane", expirationTimestamp="2020-01-01T00:00:00Z")
    async with serving(tls=tls) as port:
        path = kubeconfig(folder, port, {"certificate-authority": "ca.crt"}, plugin(folder, script))
        async with HttpTransport.from_kubeconfig(path) as transport:
            got = await transport.request("GET", "/who")
            assert yaml.safe_load(got.body)["peer"] == "jane"
            issued("john")
            got = await transport.request("GET", "/who")
            assert yaml.safe_load(got.body)["peer"] == "john"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo no session >&2; exit 3", "exec ./login: exit code 3: no session"),
        ("echo hello", "it wrote no ExecCredential"),
        ("echo '{}'", "it wrote no ExecCredential"),
        ('echo \'{"apiVersion": "v1", "status": {"token": "x"}}\'', "apiVersion 'v1', where"),
        (
            'echo \'{"apiVersion": "client.authentication.k8s.io/v1", "status": {}}\'',
            "neither a token nor a certificate with its key",
        ),
        ("exit 0 # gone", "exec ./login: No such file or directory; apt install login"),
    ],
)
async def test_a_program_that_gives_nothing_is_named(
    folder: Path, tls: ssl.SSLContext, script: str, words: str
) -> None:
    user = plugin(folder, script, installHint="apt install\n login")
    if "gone" in script:
        (folder / "login").unlink()
    async with serving(tls=tls) as port:
        path = kubeconfig(folder, port, {"certificate-authority": "ca.crt"}, user)
        async with HttpTransport.from_kubeconfig(path) as transport:
            with pytest.raises(Unreachable) as caught:
                await transport.request("GET", "/who")
    assert words in str(caught.value)


async def test_a_program_that_wants_the_terminal_is_refused(folder: Path) -> None:
    user = plugin(folder, "true", interactiveMode="Always")
    with pytest.raises(KubeconfigError, match="wants the terminal"):
        HttpTransport.from_kubeconfig(kubeconfig(folder, 1, {}, user))
