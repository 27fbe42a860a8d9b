"""Certificates are made once, kept private, and renewed before they end."""

import json
import stat
import subprocess
import sys
import time
from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from engine.api import tls

NAMES = {f"{name}.{kind}" for name in ("ca", "server", "admin") for kind in ("crt", "key")}


def read(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    tls.ensure(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert set(read(folder)) == NAMES | {"pki.json"}
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_made_once_and_renewed_in_time(tmp_path: Path) -> None:
    tls.ensure(tmp_path)
    first = read(tmp_path)
    tls.ensure(tmp_path, lambda: time.time() + 300 * 86400)
    assert read(tmp_path) == first
    tls.ensure(tmp_path, lambda: time.time() + 340 * 86400)
    second = read(tmp_path)
    assert all(second[name] != first[name] for name in NAMES)


def test_half_made_certificates_are_made_anew(tmp_path: Path) -> None:
    tls.ensure(tmp_path)
    first = read(tmp_path)
    (tmp_path / "pki.json").write_bytes(b"{")
    tls.ensure(tmp_path)
    assert read(tmp_path)["ca.crt"] != first["ca.crt"]


def test_what_the_certificates_say(tmp_path: Path) -> None:
    tls.ensure(tmp_path)
    ca, server, admin = (
        x509.load_pem_x509_certificate((tmp_path / f"{name}.crt").read_bytes())
        for name in ("ca", "server", "admin")
    )
    for certificate in (server, admin):
        certificate.verify_directly_issued_by(ca)
        days = (certificate.not_valid_after_utc - datetime.now(UTC)).days
        assert 360 < days <= 365
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    assert "kubernetes.default.svc" in names.get_values_for_type(x509.DNSName)
    addresses = {str(each) for each in names.get_values_for_type(x509.IPAddress)}
    assert addresses == {"127.0.0.1", "::1"}
    usage = admin.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    (group,) = admin.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    assert group.value == "system:masters"


def test_the_kubeconfig_is_rewritten_only_when_it_changes(tmp_path: Path) -> None:
    folder, path = tmp_path / "pki", tmp_path / "deep" / "kubeconfig"
    tls.ensure(folder)
    tls.write_kubeconfig(path, folder, "mine", 1234)
    config = json.loads(path.read_bytes())
    assert config["current-context"] == "podarium-mine"
    assert config["clusters"][0]["cluster"]["server"] == "https://127.0.0.1:1234"
    user = config["users"][0]["user"]
    key = b64decode(user["client-key-data"])
    assert key == (folder / "admin.key").read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.stat().st_mtime_ns
    tls.write_kubeconfig(path, folder, "mine", 1234)
    assert path.stat().st_mtime_ns == before
    tls.write_kubeconfig(path, folder, "mine", 4321)
    assert b":4321" in path.read_bytes()
    assert [each.name for each in path.parent.iterdir()] == ["kubeconfig"]


def test_a_start_with_certificates_needs_no_cryptography(tmp_path: Path) -> None:
    tls.ensure(tmp_path)
    code = (
        "import sys; from pathlib import Path; from engine.api import tls;"
        f" tls.server_context(Path({str(tmp_path)!r})); print('cryptography' in sys.modules)"
    )
    root = Path(__file__).parents[3]
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert ran.stdout == "False\n", ran.stderr
