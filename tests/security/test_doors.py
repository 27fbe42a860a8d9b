"""The doors of a running cluster: who may open them, and that there are no others.

Whoever opens one is root on this machine: he may run any container he likes.
"""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import stat
import subprocess
import sys
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import msgspec
import pytest

from engine.api import tls
from engine.config import ClusterConfig
from tests.real.cluster.conftest import Shell
from tests.real.cluster.machine import processes

pytestmark = pytest.mark.xdist_group("doors")

LISTENING = "0A"

# Everything below a folder that its reader, or a client of its sockets, can make use of.
LOOK = """
import os, socket, sys
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
def usable(path):
    for flags in (os.O_RDONLY, os.O_WRONLY):
        try:
            os.close(os.open(path, flags | os.O_NONBLOCK))
            return True
        except OSError:
            pass
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET):
        try:
            socket.socket(socket.AF_UNIX, kind).connect(path)
            return True
        except OSError:
            pass
    return False
for folder, folders, files in os.walk(sys.argv[1]):
    for path in [folder] + [os.path.join(folder, name) for name in files]:
        if not os.path.isdir(path) and usable(path):
            print(path)
        if os.access(path, os.W_OK):
            print(path, "to write")
for path in sys.argv[2:]:
    if os.path.exists(path) or usable(path):
        print(path)
"""


def test_an_ordinary_user_can_use_nothing_of_a_cluster(cluster: Shell) -> None:
    """Not even a set-user-ID program of an image's layers (CVE-2021-41103)."""
    paths = cluster.paths
    known = [paths.api_socket, paths.kubeconfig, paths.pki / "ca.key", paths.database]
    known += [paths.node("node-1").keeper_socket, paths.images / "blobs"]
    assert all(path.exists() for path in known)
    found = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LOOK, str(paths.home), *map(str, known)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == ""


def test_modes(cluster: Shell) -> None:
    """The folders keep others out; the files would do so too."""
    paths = cluster.paths
    for folder in (paths.run, paths.state, paths.images, paths.pki):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700, folder
    keeper = paths.node("node-1").keeper_socket
    secrets = [paths.api_socket, keeper, paths.kubeconfig, *paths.pki.iterdir()]
    for file in secrets:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file
        assert file.stat().st_uid == 0


def sockets_of(pids: list[int]) -> set[str]:
    """The inodes of their sockets."""
    found = set()
    for pid in pids:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            target = os.readlink(entry)
            if target.startswith("socket:"):
                found.add(target[8:-1])
    return found


def bound(pid: int, pids: list[int]) -> list[tuple[str, IPv4Address | IPv6Address]]:
    """(protocol, address) of each socket of theirs that waits for strangers in pid's network."""
    ours, found = sockets_of(pids), []
    for table in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            words = bytes.fromhex(fields[1].partition(":")[0])
            waits = fields[3] == LISTENING or not table.startswith("tcp")
            if waits and fields[9] in ours:
                raw = b"".join(words[i : i + 4][::-1] for i in range(0, len(words), 4))
                found.append((table, IPv4Address(raw) if len(raw) == 4 else IPv6Address(raw)))
    return found


def test_nothing_listens_beyond_loopback(cluster: Shell) -> None:
    pids = processes(cluster.paths)
    engine = int(cluster.paths.engine_pid.read_text())
    keeper = int(cluster.paths.node("node-1").keeper_pid.read_text().split()[0])
    assert {engine, keeper} <= set(pids)
    assert bound(engine, pids) == [("tcp", IPv4Address("127.0.0.1"))]
    assert bound(keeper, pids) == []


def port_of(cluster: Shell) -> int:
    config = msgspec.json.decode(cluster.paths.config.read_bytes(), type=ClusterConfig)
    return config.tls_port


def client(cluster: Shell, folder: Path | None) -> ssl.SSLContext:
    """One who trusts the cluster, and shows the certificate of a folder."""
    context = ssl.create_default_context(cafile=cluster.paths.pki / "ca.crt")
    if folder is not None:
        context.load_cert_chain(folder / "admin.crt", folder / "admin.key")
    return context


def ask(cluster: Shell, context: ssl.SSLContext, path: str, **headers: str) -> int:
    server = http.client.HTTPSConnection("127.0.0.1", port_of(cluster), context=context)
    server.request("GET", path, headers=headers)
    status = server.getresponse().status
    server.close()
    return status


PATHS = ["/api/v1/secrets", "/api", "/version", "/healthz", "/openapi/v3", "/podarium/v1/stats"]
PATHS += ["/api/v1/namespaces/default/pods/x/exec?command=id&stdout=1"]


@pytest.mark.parametrize("path", PATHS)
def test_who_shows_no_certificate_is_told_nothing(cluster: Shell, path: str) -> None:
    assert ask(cluster, client(cluster, None), path) == 401
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    key = {"Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    assert ask(cluster, client(cluster, None), path, **upgrade, **key) == 401


def test_who_has_the_clusters_certificate_is_served(cluster: Shell) -> None:
    assert ask(cluster, client(cluster, cluster.paths.pki), "/api/v1/secrets") == 200


def test_a_certificate_of_another_cluster_is_refused(cluster: Shell, tmp_path: Path) -> None:
    """One of the same names, and of a CA of the same name."""
    tls.ensure(tmp_path)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask(cluster, client(cluster, tmp_path), "/api/v1/secrets")


def test_the_servers_own_certificate_is_no_clients(cluster: Shell, tmp_path: Path) -> None:
    for kind in ("crt", "key"):
        content = (cluster.paths.pki / f"server.{kind}").read_bytes()
        (tmp_path / f"admin.{kind}").write_bytes(content)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        ask(cluster, client(cluster, tmp_path), "/api/v1/secrets")


def test_who_does_not_encrypt_is_told_nothing(cluster: Shell) -> None:
    with socket.create_connection(("127.0.0.1", port_of(cluster))) as plain:
        plain.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
        with suppress(ConnectionError):
            assert plain.recv(100) == b""
