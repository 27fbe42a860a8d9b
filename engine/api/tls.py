"""The cluster's certificates, made once and kept, and the kubeconfig that carries the client's.

A CA of the cluster's own signs the server's certificate and the admin's. Keys are ECDSA P-256 and
readable by their owner only. What nears its end is made anew at the next start; `cryptography` is
imported only then, for it is slow to import.
"""

from __future__ import annotations

import json
import os
import ssl
import time
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    Issuer = tuple[x509.Certificate, EllipticCurvePrivateKey]

CA_LIFE = timedelta(days=3650)
LIFE = timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)
BACKDATE = timedelta(minutes=5)  # clients' clocks differ
HOSTS = ("127.0.0.1", "::1", "localhost", "kubernetes", "kubernetes.default")
HOSTS_OF_SERVICE = ("kubernetes.default.svc", "kubernetes.default.svc.cluster.local")


def write_private(path: Path, content: bytes) -> None:
    """Replace a file as a whole; only its owner can ever read it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    temporary.rename(path)


def ensure(folder: Path, now: Callable[[], float] = time.time) -> None:
    """Make or renew the certificates in `folder` where that is needed. Raise OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if _expiry(folder) < now() + RENEW_BEFORE.total_seconds():
        _make(folder, datetime.fromtimestamp(now(), UTC))


def server_context(folder: Path) -> ssl.SSLContext:
    """For the listener: clients may show a certificate, which must then be of this CA."""
    ensure(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(folder / "server.crt", folder / "server.key")
    context.load_verify_locations(folder / "ca.crt")
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def write_kubeconfig(path: Path, folder: Path, cluster: str, port: int) -> None:
    """For kubectl: cluster, user and context podarium-CLUSTER, with all certificates inside.

    The file is left alone when it says so already.
    """
    name = f"podarium-{cluster}"
    served = {
        "server": f"https://127.0.0.1:{port}",
        "certificate-authority-data": _base64(folder / "ca.crt"),
    }
    user = {
        "client-certificate-data": _base64(folder / "admin.crt"),
        "client-key-data": _base64(folder / "admin.key"),
    }
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": name,
        "preferences": {},
        "clusters": [{"name": name, "cluster": served}],
        "users": [{"name": name, "user": user}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
    }
    # JSON is YAML, and needs no other library.
    content = json.dumps(config, indent=2).encode() + b"\n"
    if not path.exists() or path.read_bytes() != content:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, content)


def _base64(path: Path) -> str:
    return b64encode(path.read_bytes()).decode()


def _expiry(folder: Path) -> float:
    """When the first certificate ends, as noted when they were made; 0 when there are none."""
    try:
        noted = json.loads((folder / "pki.json").read_bytes())
        return float(noted["expires"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return 0.0


def _make(folder: Path, now: datetime) -> None:
    from cryptography.x509.oid import ExtendedKeyUsageOID as Usage

    ca = _issue("podarium-ca", (), now, CA_LIFE)
    hosts = (*HOSTS, *HOSTS_OF_SERVICE)
    server = _issue("podarium", (), now, LIFE, issuer=ca, usage=Usage.SERVER_AUTH, hosts=hosts)
    group = "system:masters"
    admin = _issue("kubernetes-admin", (group,), now, LIFE, issuer=ca, usage=Usage.CLIENT_AUTH)
    for name, made in (("ca", ca), ("server", server), ("admin", admin)):
        _save(folder, name, made)
    # Last: without it everything is made anew, so a crash in between does no harm.
    expires = (now + LIFE).timestamp()
    write_private(folder / "pki.json", json.dumps({"expires": expires}).encode() + b"\n")


def _save(folder: Path, name: str, made: Issuer) -> None:
    from cryptography.hazmat.primitives import serialization as form

    certificate, key = made
    write_private(folder / f"{name}.crt", certificate.public_bytes(form.Encoding.PEM))
    private = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    write_private(folder / f"{name}.key", private)


def _issue(
    name: str,
    organizations: tuple[str, ...],
    now: datetime,
    life: timedelta,
    *,
    issuer: Issuer | None = None,
    usage: x509.ObjectIdentifier | None = None,
    hosts: tuple[str, ...] = (),
) -> Issuer:
    """A certificate and its key; signed by itself, and so a CA, without an issuer."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(name, organizations)
    issuer_name = subject if issuer is None else issuer[0].subject
    signing_key = key if issuer is None else issuer[1]
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key())
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + life)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(_key_usage(is_ca=issuer is None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(authority, critical=False)
    )
    if usage is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    if hosts:
        names = x509.SubjectAlternativeName([_alternative(host) for host in hosts])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(signing_key, hashes.SHA256()), key


def _subject(name: str, organizations: tuple[str, ...]) -> x509.Name:
    """Kubernetes reads the user from the common name, groups from the organizations."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in organizations]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _key_usage(*, is_ca: bool) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)
